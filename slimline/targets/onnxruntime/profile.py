"""ONNX Runtime's own account of what it executed: every kernel, after optimisation of the graph.

It is sent to other machines as it is (`remote_runner`), so it takes nothing of Slimline, and runs
on Python 3.8 as well.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KERNEL = "_kernel_time"


@dataclass(frozen=True)
class Kernel:
    """One execution of one operator."""

    node: str
    """Name of the node; that of a fused one begins with the name of the node it was."""
    operator: str
    microseconds: float


def kernels(path: Path, images: NDArray[np.float32] | None = None) -> list[Kernel]:
    """Return what is executed for each image in turn, on one thread.

    `images` is float32 [count, channels, height, width]; by default one black image.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        given = session.get_inputs()[0]
        if images is None:
            images = np.zeros([1, *given.shape[1:]], np.float32)
        for image in images:
            session.run(None, {given.name: image[np.newaxis]})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return [
        Kernel(event["name"][: -len(_KERNEL)], event["args"]["op_name"], event["dur"])
        for event in events
        if event["name"].endswith(_KERNEL)
    ]
