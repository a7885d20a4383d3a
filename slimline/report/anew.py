"""Time the products of two commits in turns: the comparison of latency that can be trusted most."""

import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from slimline.core import description, params, tracked
from slimline.core.errors import ArtifactError
from slimline.core.revision import Revision
from slimline.report import state
from slimline.report.gates import Anew, Base, machine_name
from slimline.report.state import State
from slimline.report.variant import PRODUCT_FILE

_RUNTIME = "onnxruntime"
_SEED = 0
_PATIENCE = 300
"""Seconds that a remote may take to give a model."""


def against(then: State, revision: Revision, now: State, *, is_timed: bool) -> Base:
    """Return a state to compare with, with the times of both products or why there are none.

    Nothing is timed where the product is the same file, or where it was not asked for.
    """
    base = state.as_base(then, now)
    if base.is_same_product:
        return base
    if not is_timed:
        return replace(base, not_anew="that was switched off")
    try:
        return replace(base, anew=_measure(revision, now))
    except ArtifactError as error:
        return replace(base, not_anew=str(error))


def _measure(revision: Revision, now: State) -> Anew:
    """Return the times of the base's product and of the one in the working tree.

    Raises:
        ArtifactError: one of the models is not here, or they take images of different shapes.
    """
    if find_spec(_RUNTIME) is None:
        raise ArtifactError(f"{_RUNTIME} is not installed")
    after = Path(PRODUCT_FILE)
    _check(after, now)
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / description.ONNX
        _fetch(revision, before)
        # A clone without models has no use for them.
        from slimline.measure import latency, machine, turns

        shape = _input_shape(after)
        if _input_shape(before) != shape:
            raise ArtifactError("the base's model takes images of another shape")
        settings = params.load("benchmark", latency.BenchmarkParams)
        paths = {"before": before, "after": after}
        times = latency.single_image_times(
            {name: turns.model(path, num_threads=1) for name, path in paths.items()},
            "before",
            np.random.default_rng(_SEED).standard_normal([1, *shape], np.float32),
            settings,
        )
    cpu = machine.cpu()
    medians = {name: np.median(each, axis=1) for name, each in times.items()}
    return Anew(
        **medians,
        max_noise=settings.max_noise,
        machine=machine_name(cpu.model, " ".join(cpu.flags)),
    )


def _check(path: Path, now: State) -> None:
    """Refuse a file that is not the one that the figures are of."""
    if not path.is_file():
        raise ArtifactError(f"{path} is not here; `dvc checkout` brings it")
    expected = now.lock.md5(PRODUCT_FILE)
    if expected is not None and tracked.hash_file(path) != expected:
        raise ArtifactError(f"{path} is not the one that dvc.lock names; `dvc checkout` brings it")


def _fetch(base: Revision, target: Path) -> None:
    """Copy the base's model out of DVC's cache, or its remote."""
    command = [sys.executable, "-m", "dvc", "get", ".", PRODUCT_FILE, "--rev", base.commit, "--out"]
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
        raise ArtifactError(f"neither DVC's cache nor a remote has the base's {PRODUCT_FILE}")


def _input_shape(path: Path) -> tuple[int, ...]:
    """Return channels, height and width."""
    from slimline.measure import session

    return tuple(session.load(path, num_threads=1).get_inputs()[0].shape[1:])
