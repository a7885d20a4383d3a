"""Leaves out of a file what its readers take for granted: attributes that have their default.

The exporter spells everything out, which is 13 bytes for each scale that is one number and up to
90 for a convolution: more than all names of values in a small network.
"""

import onnx.defs
import onnx_ir as ir
from onnx import AttributeProto

from slimline.targets.onnxruntime.graph import DEQUANTIZE, QUANTIZE, constant

_WINDOWS = {"Conv", "MaxPool", "AveragePool"}

_NEUTRAL = {"dilations": 1, "strides": 1, "pads": 0}
"""What windows do along every axis without being told; the standard says so in words alone."""


def leave_out(model: ir.Model) -> None:
    """Remove such attributes in place; the model means the same."""
    for node in model.graph:
        schema = onnx.defs.get_schema(node.op_type, model.opset_imports[""])
        for each in list(node.attributes.values()):
            if is_default(each, schema) or _says_nothing(each, node):
                del node.attributes[each.name]


def is_default(attribute: ir.Attr, schema: onnx.defs.OpSchema) -> bool:
    """Return whether a node means the same without an attribute."""
    default = schema.attributes[attribute.name].default_value
    if default.type == AttributeProto.UNDEFINED:
        return False
    return bool(attribute.value == ir.serde.deserialize_attribute(default).value)


def _says_nothing(attribute: ir.Attr, node: ir.Node) -> bool:
    if node.op_type in {QUANTIZE, DEQUANTIZE} and attribute.name == "axis":
        scale = constant(node, 1)
        return scale is not None and scale.ndim == 0
    if node.op_type in _WINDOWS and attribute.name in _NEUTRAL:
        return set(attribute.as_ints()) == {_NEUTRAL[attribute.name]}
    return False
