"""Keeps a softmax in float that stands between bytes, which ONNX Runtime would compute in integers.

Its kernel for that takes the inverse of the output's step for a whole number, so that a byte is up
to 1.2 steps off where rounding is half a one, and it does not saturate: a probability above the
trained range may become 0 (docs/experiments.md). It does not look through a `LeakyRelu`, of which
one of slope 1 hands on every value as it is.
"""

import onnx_ir as ir

from slimline.targets.onnxruntime.graph import DEQUANTIZE, QUANTIZE, maker, only_user, set_input


def keep_float(model: ir.Model) -> None:
    """Put such a node in front of every softmax between bytes, in place."""
    for node in model.graph:
        if node.op_type == "Softmax" and only_user(node.outputs[0], QUANTIZE):
            before = maker(node, 0)
            if before is not None and before.op_type == DEQUANTIZE:
                tape = ir.tape.Tape()
                tape.op("LeakyRelu", [node.inputs[0]], {"alpha": 1.0})
                set_input(node, 0, tape)
