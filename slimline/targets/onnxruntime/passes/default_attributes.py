"""Leaves out of a file what its readers take for granted: attributes that have their default.

The exporter spells everything out, which is 13 bytes for each scale that is one number and up to
90 for a convolution: more than all names of values in a small network.
"""

from typing import Any

import onnx
import onnx.defs
from onnx import AttributeProto, NodeProto, helper

from slimline.targets.onnxruntime.graph import Values

_WINDOWS = {"Conv", "MaxPool", "AveragePool"}

_NEUTRAL = {"dilations": 1, "strides": 1, "pads": 0}
"""What windows do along every axis without being told; the standard says so in words alone."""

_QUANTIZERS = {"QuantizeLinear", "DequantizeLinear"}


def leave_out(model: onnx.ModelProto) -> None:
    """Remove such attributes in place; the model means the same."""
    values = Values(model.graph)
    opset = next(each.version for each in model.opset_import if not each.domain)
    for node in model.graph.node:
        schema = onnx.defs.get_schema(node.op_type, opset)
        kept = [
            each
            for each in node.attribute
            if not (_is_default(each, schema) or _says_nothing(each, node, values))
        ]
        del node.attribute[:]
        node.attribute.extend(kept)


def _is_default(attribute: AttributeProto, schema: onnx.defs.OpSchema) -> bool:
    default = schema.attributes[attribute.name].default_value
    if default.type == AttributeProto.UNDEFINED:
        return False
    own: Any = helper.get_attribute_value(attribute)
    return bool(own == helper.get_attribute_value(default))


def _says_nothing(attribute: AttributeProto, node: NodeProto, values: Values) -> bool:
    if node.op_type in _QUANTIZERS and attribute.name == "axis":
        scale = values.constant(node.input[1])
        return scale is not None and scale.ndim == 0
    if node.op_type in _WINDOWS and attribute.name in _NEUTRAL:
        return set(attribute.ints) == {_NEUTRAL[attribute.name]}
    return False
