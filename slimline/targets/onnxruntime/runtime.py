"""Models in ONNX Runtime: loaded, run, and looked into. Free of torch."""

from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from slimline.targets.model_file import ModelFile

Session: TypeAlias = onnxruntime.InferenceSession

FILE = "model.onnx"


def require() -> None:
    """Refuse nothing: whatever runs here needs ONNX Runtime, and has it."""


def load(model: Path | bytes, *, num_threads: int, optimised: bool = True) -> Session:
    """Return a session on the CPU, of a file or its content.

    Without optimisation every operator runs as it is written.
    """
    options = onnxruntime.SessionOptions()
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is raised says it
    given = model if isinstance(model, bytes) else str(model)
    return Session(given, options, providers=["CPUExecutionProvider"])


def run(session: Session, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return logits, float32 [count, classes], for float32 [count, channels, height, width]."""
    name = session.get_inputs()[0].name
    logits: NDArray[np.float32] = session.run(None, {name: images})[0]
    return logits


def inspect(path: Path) -> ModelFile:
    """Return what a file holds and costs, and how much of it ONNX Runtime executes in int8."""
    from slimline.targets.onnxruntime import onnx_file  # a deployment that only runs has no onnx

    found: ModelFile = onnx_file.inspect(path)
    return found
