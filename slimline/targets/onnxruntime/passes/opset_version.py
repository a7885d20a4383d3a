"""Writes a model in another opset and IR version than torch's exporter does, for other runtimes.

Between the opsets that are allowed, most operators only learnt new types; what else changed in
those that we use is undone here. Newer opsets read all of ours as it is.
"""

import numpy as np
import onnx.defs
import onnx_ir as ir

from slimline.errors import ParamsError
from slimline.targets.onnxruntime.graph import constant
from slimline.targets.onnxruntime.releases import NEWEST_OPSET

_AXES_BECAME_INPUT = {"ReduceMean": 18}
"""Operators, and the opset in which their attribute `axes` became an input."""

_NEW_ATTRIBUTES = {
    ("Reshape", "allowzero"): 14,
    ("ReduceMean", "noop_with_empty_axes"): 18,
    ("Split", "num_outputs"): 18,
}
"""Attributes that say what is the case without them, and the opset that has them first."""


def set_versions(model: ir.Model, *, opset: int, ir_version: int) -> None:
    """Rewrite a model in place; it computes the same.

    Raises:
        ParamsError: an operator of the model does not exist in that opset.
    """
    missing = {node.op_type for node in model.graph if not onnx.defs.has(node.op_type, opset)}
    if missing:
        raise ParamsError([_explain(each, opset) for each in sorted(missing)])
    for node in model.graph:
        if opset < _AXES_BECAME_INPUT.get(node.op_type, 0):
            _axes_to_attribute(node)
        for name in list(node.attributes):
            if opset < _NEW_ATTRIBUTES.get((node.op_type, name), 0):
                _remove(node, name)
    model.ir_version = ir_version
    model.opset_imports.clear()
    model.opset_imports[""] = opset


def _explain(operator: str, opset: int) -> str:
    later = range(opset, NEWEST_OPSET + 1)
    first = next(each for each in later if onnx.defs.has(operator, each))
    return (
        f"params.yaml: int8_export.opset: opset {opset} has no operator {operator}, which this "
        f"model needs; must be {first} or more"
    )


def _axes_to_attribute(node: ir.Node) -> None:
    axes = constant(node, 1)
    assert axes is not None, "only axes that are known are written"
    node.attributes.add(ir.AttrInt64s("axes", axes.tolist()))
    node.resize_inputs(1)


def _remove(node: ir.Node, attribute: str) -> None:
    """Remove an attribute, having made sure that it says nothing."""
    if attribute == "allowzero":
        shape = constant(node, 1)
        assert shape is not None, "only shapes that are known are written"
        assert np.all(shape != 0), "no shape has a zero"
    del node.attributes[attribute]
