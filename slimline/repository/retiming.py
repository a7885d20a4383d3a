"""Time the products of two commits in turns: the comparison of latency that can be trusted most."""

import subprocess
import sys
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimline import params, processor
from slimline.artifacts import description
from slimline.errors import ArtifactError
from slimline.measure.retimed import SideBySide
from slimline.repository import dvc_files
from slimline.repository.commit_results import State
from slimline.repository.revision import Revision

_RUNTIME = "onnxruntime"
_SEED = 0
_PATIENCE = 300
"""Seconds that a remote may take to give a model."""


def measure(revision: Revision, then: State, now: State) -> SideBySide:
    """Return the times of the base's product and of the one in the working tree.

    Raises:
        ArtifactError: one of the models is not here, or they take images of different shapes.
    """
    if find_spec(_RUNTIME) is None:
        raise ArtifactError(f"{_RUNTIME} is not installed")
    after = Path(now.product_file)
    _check(after, now)
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / description.ONNX
        _fetch(revision, then.product_file, before)
        # A clone without models has no use for them.
        from slimline.measure import latency, machine
        from slimline.targets.runtimes import Deployable

        images = {"before": _noise(before), "after": _noise(after)}
        if images["before"].size != images["after"].size:
            raise ArtifactError("the base's model takes images of another shape")
        settings = params.load("benchmark", latency.BenchmarkParams)
        models = {"before": Deployable(before), "after": Deployable(after)}
        times = latency.single_image_times(
            {name: partial(each.load, num_threads=1) for name, each in models.items()},
            "before",
            images["before"],
            settings,
            own_images=images,
        )
    cpu = processor.cpu()
    medians = {name: np.median(each, axis=1) for name, each in times.items()}
    return SideBySide(
        **medians,
        max_noise=settings.max_noise,
        machine=machine.name(cpu.model, " ".join(cpu.flags)),
    )


def _check(path: Path, now: State) -> None:
    """Refuse a file that is not the one that the figures are of."""
    if not path.is_file():
        raise ArtifactError(f"{path} is not here; `dvc checkout` brings it")
    expected = now.lock.md5(now.product_file)
    if expected is not None and dvc_files.hash_file(path) != expected:
        raise ArtifactError(f"{path} is not the one that dvc.lock names; `dvc checkout` brings it")


def _fetch(base: Revision, product: str, target: Path) -> None:
    """Copy the base's model out of DVC's cache, or its remote."""
    command = [sys.executable, "-m", "dvc", "get", ".", product, "--rev", base.commit, "--out"]
    try:
        done = subprocess.run(
            [*command, str(target)],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise ArtifactError(f"the remote did not give the base's model in {_PATIENCE} s") from None
    if done.returncode or not target.is_file():
        raise ArtifactError(f"neither DVC's cache nor a remote has the base's {product}")


def _noise(path: Path) -> NDArray[Any]:
    """Return an image as a file takes it: float32, or raw pixels."""
    from slimline.targets.onnxruntime import runtime

    (given,) = runtime.load(path, num_threads=1).get_inputs()
    noise = np.random.default_rng(_SEED)
    shape = [1, *given.shape[1:]]
    if given.type == "tensor(uint8)":
        return noise.integers(0, 256, shape, np.uint8)
    return noise.standard_normal(shape, np.float32)
