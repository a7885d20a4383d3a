"""Models in ExecuTorch: loaded, run, and what is told of them.

Its Python interface passes torch's tensors, so that torch is imported when a file is loaded.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimline import files
from slimline.targets import quiet
from slimline.targets.executorch import installed
from slimline.targets.model_file import ModelFile

FILE = "model.pte"


def require() -> None:
    """Refuse to go on without ExecuTorch.

    Raises:
        TargetError: it is not installed, or does not fit this torch.
    """
    installed.require()


def load(model: Path, *, num_threads: int, optimised: bool = True) -> Any:  # noqa: ARG001
    """Return the method `forward` of a file; there is one way to run it, optimised or not.

    XNNPACK keeps one pool of threads for the process: the last call decides how many there are.

    Raises:
        TargetError: ExecuTorch is not installed, or does not fit this torch.
    """
    installed.require()
    with quiet.quiet():
        from executorch.extension.pybindings import portable_lib
        from executorch.runtime import Runtime

    portable_lib._unsafe_reset_threadpool(num_threads)
    return Runtime.get().load_program(model).load_method("forward")


def run(loaded: Any, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return logits, float32 [count, classes], for float32 [count, channels, height, width].

    A file takes one image at a time.
    """
    import torch

    logits = []
    for image in np.ascontiguousarray(images)[:, np.newaxis]:
        (answer,) = loaded.execute([torch.from_numpy(image)])
        logits.append(answer.numpy().copy())
    return np.concatenate(logits)


def inspect(path: Path) -> ModelFile:
    """Return what a file holds and costs: its size, and what was counted when it was written.

    A .pte does not tell its layers; `model.json` beside it does.
    """
    content = path.read_bytes()
    counts = files.read_json(path.with_name("model.json"))["counts"]
    return ModelFile(
        num_bytes=len(content), num_bytes_deflated=len(zlib.compress(content, level=9)), **counts
    )
