"""What ONNX Runtime makes of a model: the operators after its own optimisation, and the answer."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime


def run(
    model: onnx.ModelProto, images: np.ndarray, folder: Path, *, allow_int8: bool = False
) -> tuple[list[str], np.ndarray]:
    """Return the operators in the order in which they are executed, and the answer.

    `allow_int8` fuses int8 activations on x86 as well, as is done on Arm.
    """
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3
    if allow_int8:
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    answer = session.run(None, {"input": images})[0]
    return [node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node], answer
