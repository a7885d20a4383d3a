"""Writes a model in another opset and IR version than torch's exporter does, for other runtimes.

Between the opsets that are allowed, most operators only learnt new types; what else changed in
those that we use is undone here. Newer opsets read all of ours as it is.
"""

import numpy as np
import onnx.defs
import onnx_ir as ir

from slimline.errors import ParamsError
from slimline.targets.onnxruntime.graph import constant
from slimline.targets.onnxruntime.passes import default_attributes
from slimline.targets.onnxruntime.releases import NEWEST_OPSET

_AXES_BECAME_INPUT = 18
"""The opset in which the attribute `axes` of these became an input."""

_REDUCTIONS = {
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSumSquare",
}

_SAYING_NOTHING = {
    ("Reshape", "allowzero"),
    ("Split", "num_outputs"),
    *((name, "noop_with_empty_axes") for name in _REDUCTIONS),
}
"""Attributes that say what is the case without them, whatever they are."""


def set_versions(model: ir.Model, *, opset: int, ir_version: int) -> None:
    """Rewrite a model in place; it computes the same.

    Raises:
        ParamsError: an operator of the model, or what it asks of it, does not exist in that opset.
    """
    missing = {
        _explain(node.op_type, opset)
        for node in model.graph
        if not onnx.defs.has(node.op_type, opset)
    }
    if missing:
        raise ParamsError(sorted(missing))
    own = model.opset_imports[""]
    for node in model.graph:
        if opset < _AXES_BECAME_INPUT and node.op_type in _REDUCTIONS:
            _axes_to_attribute(node)
        known = onnx.defs.get_schema(node.op_type, opset).attributes
        written = onnx.defs.get_schema(node.op_type, own)
        for attribute in list(node.attributes.values()):
            if attribute.name in known:
                continue
            if (node.op_type, attribute.name) in _SAYING_NOTHING:
                _make_sure(node, attribute.name)
            elif not default_attributes.is_default(attribute, written):
                missing.add(_explain(node.op_type, opset, attribute.name))
            del node.attributes[attribute.name]
    if missing:
        raise ParamsError(sorted(missing))
    model.ir_version = ir_version
    model.opset_imports.clear()
    model.opset_imports[""] = opset


def _explain(operator: str, opset: int, attribute: str = "") -> str:
    later = range(opset, NEWEST_OPSET + 1)
    first = next(each for each in later if _has(operator, each, attribute))
    needed = f"{operator} with {attribute}" if attribute else operator
    return (
        f"params.yaml: int8_export.opset: opset {opset} has no operator {needed}, which this "
        f"model needs; must be {first} or more"
    )


def _has(operator: str, opset: int, attribute: str) -> bool:
    if not onnx.defs.has(operator, opset):
        return False
    return not attribute or attribute in onnx.defs.get_schema(operator, opset).attributes


def _axes_to_attribute(node: ir.Node) -> None:
    if len(node.inputs) == 1:
        return  # It reduces everything.
    axes = constant(node, 1)
    assert axes is not None, "only axes that are known are written"
    node.attributes.add(ir.AttrInt64s("axes", axes.tolist()))
    node.resize_inputs(1)


def _make_sure(node: ir.Node, attribute: str) -> None:
    """Make sure that an attribute says nothing."""
    if attribute == "allowzero":
        shape = constant(node, 1)
        assert shape is not None, "only shapes that are known are written"
        assert np.all(shape != 0), "no shape has a zero"
