"""Writes a model in another opset and IR version than torch's exporter does, for other runtimes.

Between the opsets that are allowed, most operators only learnt new types; what else changed in
those that we use is undone here. Newer opsets read all of ours as it is.
"""

import numpy as np
import onnx
import onnx.defs
from onnx import NodeProto, helper

from slimline.errors import ParamsError
from slimline.targets.onnxruntime.graph import Values
from slimline.targets.onnxruntime.releases import NEWEST_OPSET

_AXES_BECAME_INPUT = {"ReduceMean": 18}
"""Operators, and the opset in which their attribute `axes` became an input."""

_NEW_ATTRIBUTES = {
    ("Reshape", "allowzero"): 14,
    ("ReduceMean", "noop_with_empty_axes"): 18,
    ("Split", "num_outputs"): 18,
}
"""Attributes that say what is the case without them, and the opset that has them first."""


def set_versions(model: onnx.ModelProto, *, opset: int, ir_version: int) -> None:
    """Rewrite a model in place; it computes the same.

    Raises:
        ParamsError: an operator of the model does not exist in that opset.
    """
    missing = {node.op_type for node in model.graph.node if not _exists(node, opset)}
    if missing:
        raise ParamsError([_explain(each, opset) for each in sorted(missing)])
    values = Values(model.graph)
    for node in model.graph.node:
        if opset < _AXES_BECAME_INPUT.get(node.op_type, 0):
            _axes_to_attribute(node, values)
        for attribute in list(node.attribute):
            if opset < _NEW_ATTRIBUTES.get((node.op_type, attribute.name), 0):
                _remove(node, attribute, values)
    model.ir_version = ir_version
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", opset))


def _exists(node: NodeProto, opset: int) -> bool:
    return bool(onnx.defs.has(node.op_type, opset))


def _explain(operator: str, opset: int) -> str:
    later = range(opset, NEWEST_OPSET + 1)
    first = next(each for each in later if onnx.defs.has(operator, each))
    return (
        f"params.yaml: int8_export.opset: opset {opset} has no operator {operator}, which this "
        f"model needs; must be {first} or more"
    )


def _axes_to_attribute(node: NodeProto, values: Values) -> None:
    axes = values.constant(node.input[1]) if len(node.input) > 1 else None
    assert axes is not None, "only axes that are known are written"
    node.attribute.append(helper.make_attribute("axes", axes.tolist()))
    del node.input[1:]


def _remove(node: NodeProto, attribute: onnx.AttributeProto, values: Values) -> None:
    """Remove an attribute, having made sure that it says nothing."""
    if attribute.name == "allowzero":
        shape = values.constant(node.input[1])
        assert shape is not None, "only shapes that are known are written"
        assert np.all(shape != 0), "no shape has a zero"
    node.attribute.remove(attribute)
