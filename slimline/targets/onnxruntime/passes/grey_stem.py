"""Lets the first convolution of a network for grey images run in ONNX Runtime's direct int8 kernel.

That kernel wants input channels in multiples of 4; a grey image has one, and copying its pixels
one byte at a time takes longer than all else in the layer. So four output columns are computed at
once: as many neighbouring columns as they start at are read as channels, and the four results of
each filter stand side by side as channels until they are put back as columns. Channels-last, which
is how int8 convolutions run, that is no move of a byte at either end. The answers are the same, bit
for bit; the multiply-accumulates of this one layer become four times as many.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from slimline.targets.onnxruntime.graph import Values

_COLUMNS = 4
"""Output columns that are computed at once."""


def widen(model: onnx.ModelProto) -> None:
    """Rewrite the first convolution of a QDQ graph in place, if the image is grey.

    Left as they are: convolutions of another form than odd kernel, padding of half of it, and a
    width that divides.
    """
    graph = model.graph
    values = Values(graph)
    path = _Path(graph, values)
    if not path.is_complete:
        return
    conv, channels = path.conv, path.channels
    weight = values.constant(path.weight.input[0])
    assert weight is not None
    attributes = {each.name: helper.get_attribute_value(each) for each in conv.attribute}
    height, width = (each.dim_value for each in graph.input[0].type.tensor_type.shape.dim[2:])
    stride = attributes.get("strides", [1, 1])[0]
    kernel = weight.shape[2]
    at_once = _COLUMNS * stride
    is_plain = (
        channels == weight.shape[1] == 1
        and weight.shape[2:] == (kernel, kernel)
        and attributes.get("strides", [1, 1]) == [stride, stride]
        and attributes.get("dilations", [1, 1]) == [1, 1]
        and attributes.get("pads") == [kernel // 2] * 4
        and kernel % 2 == 1
        and kernel // 2 <= at_once
        and width % at_once == 0
        and height % stride == 0
    )
    if not is_plain:
        return
    filters = len(weight)
    del graph.value_info[:]
    _give(graph, path.weight, 0, widened(weight, stride))
    for node, place in [(path.weight, 1), (path.weight, 2), (conv, 2)]:
        constant = values.constant(node.input[place]) if place < len(node.input) else None
        if constant is not None and constant.ndim:
            _give(graph, node, place, np.tile(constant, _COLUMNS))
    del conv.attribute[:]
    pads = [kernel // 2, 1, kernel // 2, 1]
    conv.attribute.append(helper.make_attribute("pads", pads))
    conv.attribute.append(helper.make_attribute("strides", [stride, 1]))
    before = _Mover(graph, path.image, "columns")
    before.reshape([-1, height, width // at_once, at_once])
    before.transpose([0, 3, 1, 2])
    after = _Mover(graph, path.result, "filters")
    after.transpose([0, 2, 3, 1])
    after.reshape([-1, height // stride, width // stride, filters])
    after.transpose([0, 3, 1, 2])


def widened(weight: NDArray[np.int8], stride: int) -> NDArray[np.int8]:
    """Return the filters that make four columns at once.

    From int8 [filters, 1, kernel, kernel] to [4 * filters, 4 * stride, kernel, 3]: the columns
    before, at and after those that the four outputs start at.
    """
    filters, _, kernel, _ = weight.shape
    at_once = _COLUMNS * stride
    wide = np.zeros((_COLUMNS, filters, at_once, kernel, 3), weight.dtype)
    for output in range(_COLUMNS):
        for column in range(kernel):
            block, channel = divmod(output * stride + column - kernel // 2, at_once)
            wide[output, :, channel, :, block + 1] = weight[:, 0, :, column]
    return wide.reshape(_COLUMNS * filters, at_once, kernel, 3)


class _Path:
    """The nodes from the image to the first convolution's quantized result."""

    def __init__(self, graph: onnx.GraphProto, values: Values) -> None:
        def only_user(name: str, *kinds: str) -> str:
            found = values.only_user(name, *kinds)
            return str(found.output[0]) if found is not None and found.input[0] == name else ""

        self.image = only_user(graph.input[0].name, "QuantizeLinear")
        convolved = only_user(only_user(self.image, "DequantizeLinear"), "Conv")
        activated = only_user(convolved, "Relu", "Clip") or convolved
        self.result = only_user(activated, "QuantizeLinear")
        conv = values.maker(convolved)
        weight = values.maker(conv.input[1]) if conv is not None else None
        self.is_complete = bool(self.image and self.result and weight is not None)
        if conv is not None and weight is not None:
            self.conv, self.weight = conv, weight
            self.channels = graph.input[0].type.tensor_type.shape.dim[1].dim_value


class _Mover:
    """Puts nodes that move bytes between a value and all who use it."""

    def __init__(self, graph: onnx.GraphProto, value: str, name: str) -> None:
        self._graph, self._name, self._count = graph, name, 0
        self._users = [node for node in graph.node if value in node.input]
        self._value = value

    def transpose(self, order: list[int]) -> None:
        self._add(helper.make_node("Transpose", [self._value], [self._next()], perm=order))

    def reshape(self, shape: list[int]) -> None:
        constant = numpy_helper.from_array(np.array(shape), f"{self._name}{self._count}_shape")
        self._graph.initializer.append(constant)
        self._add(helper.make_node("Reshape", [self._value, constant.name], [self._next()]))

    def _next(self) -> str:
        return f"{self._name}{self._count}"

    def _add(self, node: NodeProto) -> None:
        moved = self._next()
        place = min(list(self._graph.node).index(user) for user in self._users)
        self._graph.node.insert(place, node)
        for user in self._users:
            user.input[:] = [moved if name == self._value else name for name in user.input]
        self._value, self._count = moved, self._count + 1


def _give(graph: onnx.GraphProto, node: NodeProto, place: int, value: NDArray[np.generic]) -> None:
    """Let a node read another constant; the old one may be another node's as well."""
    constant = numpy_helper.from_array(np.ascontiguousarray(value), f"{node.input[place]}_wide")
    graph.initializer.append(constant)
    node.input[place] = constant.name
