"""Time the products of two commits in turns: the comparison of latency that can be trusted most."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from slimline.core import description
from slimline.core.errors import ArtifactError
from slimline.core.revision import Revision
from slimline.measure import latency, machine, session, turns
from slimline.measure.latency import BenchmarkParams
from slimline.report.gates import Anew, machine_name
from slimline.report.variant import PRODUCT

_MODELS = Path("models")
_SEED = 0


def measure(base: Revision, settings: BenchmarkParams) -> Anew:
    """Return the times of the base's product and of the one in the working tree.

    Raises:
        ArtifactError: one of the models is not here, or they take images of different shapes.
    """
    after = description.onnx_path(_MODELS / PRODUCT)
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / description.ONNX
        _fetch(base, before)
        shape = _input_shape(after)
        if _input_shape(before) != shape:
            raise ArtifactError(f"{base}: its model takes images of another shape; drop --measure")
        images = np.random.default_rng(_SEED).standard_normal([1, *shape], np.float32)
        times = latency.single_image_times(
            {
                "before": turns.model(before, num_threads=1),
                "after": turns.model(after, num_threads=1),
            },
            "before",
            images,
            settings,
        )
    cpu = machine.cpu()
    return Anew(
        before=np.median(times["before"], axis=1),
        after=np.median(times["after"], axis=1),
        machine=machine_name(cpu.model, " ".join(cpu.flags)),
    )


def _fetch(base: Revision, target: Path) -> None:
    """Copy the base's model out of DVC's cache, or its remote."""
    path = str(_MODELS / PRODUCT / description.ONNX)
    command = [sys.executable, "-m", "dvc", "get", ".", path, "--rev", base.commit, "--out"]
    done = subprocess.run([*command, str(target)], capture_output=True, text=True, check=False)
    if done.returncode or not target.is_file():
        raise ArtifactError(
            f"{base}: neither DVC's cache nor a remote has its {path}; `dvc fetch` it, or drop "
            f"--measure and compare the recorded speedups"
        )


def _input_shape(path: Path) -> tuple[int, ...]:
    """Return channels, height and width."""
    return tuple(session.load(path, num_threads=1).get_inputs()[0].shape[1:])
