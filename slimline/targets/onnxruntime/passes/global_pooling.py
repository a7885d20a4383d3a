"""Makes a mean over height and width a `GlobalAveragePool`, which ONNX Runtime has in int8."""

import onnx_ir as ir

from slimline.targets.onnxruntime.graph import DEQUANTIZE, QUANTIZE, constant, only_user, replace


def pool_means(model: ir.Model) -> None:
    """Rewrite a QDQ graph in place; it computes the same."""
    for node in model.graph:
        if node.op_type == "ReduceMean" and _is_spatial(node):
            _pool(node)


def _is_spatial(mean: ir.Node) -> bool:
    axes = constant(mean, 1)
    return axes is not None and sorted(axes.tolist()) in ([2, 3], [-2, -1])


def _pool(mean: ir.Node) -> None:
    """Pool, requantize, and flatten bytes, where the mean's range is known; else leave it."""
    quantize = only_user(mean.outputs[0], QUANTIZE)
    if quantize is None:
        return
    tape = ir.tape.Tape()
    pooled = tape.op("GlobalAveragePool", mean.inputs[:1])
    if not mean.attributes.get_int("keepdims", 1):
        scale_and_zero = quantize.inputs[1:]
        levels = tape.op(QUANTIZE, [pooled, *scale_and_zero])
        tape.op("Flatten", [tape.op(DEQUANTIZE, [levels, *scale_and_zero])])
    replace(mean, tape)
