"""Our .onnx files run by OpenVINO, where that is installed; free of torch and of ONNX Runtime.

It answers nearly as ONNX Runtime does: its int8 kernels round elsewhere (docs/devices.md).
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimline.errors import TargetError

TRIED = "2026.4.1"


def require(asked: str) -> None:
    """Refuse to go on without OpenVINO; `asked` is what asked for it.

    Raises:
        TargetError: it is not installed.
    """
    if find_spec("openvino") is None:
        raise TargetError(
            f"{asked}: OpenVINO is not installed; `python -m pip install "
            f"openvino=={TRIED}` adds the release that was tried"
        )


def load(path: Path, *, num_threads: int) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """Return what answers images as the file does, any number of them."""
    import openvino

    # What stays float is bfloat16 otherwise, on CPUs that have it.
    options = {"INFERENCE_NUM_THREADS": num_threads, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", options)

    def answer(images: NDArray[Any]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = compiled([images])[0]
        return found.copy()

    return answer
