"""Pads channels with zeros to the widths for which ONNX Runtime has fast int8 kernels.

- A depthwise convolution is several times slower per channel where its width is no multiple of 16,
  as 72 and 120 in MobileNetV3. It is widened together with all that shares its channels: the
  convolution before it, squeeze-excitation, gates; those after it read the new channels with
  weights of 0.
- A colour image gets a fourth channel that is 0: input channels are read in fours.

The answers are the same, bit for bit; multiply-accumulates grow by what is padded. The file hardly
does: `slimline.targets.onnxruntime.passes.trailing_zeros` leaves most of the zeros out of it.
"""

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from slimline.targets.onnxruntime.graph import Values

_MULTIPLE = 16
_COLOURS = 3
_BY_CHANNEL = {
    "QuantizeLinear": 1,
    "DequantizeLinear": 1,
    "Clip": 1,
    "Relu": 1,
    "Sigmoid": 1,
    "GlobalAveragePool": 1,
    "Mul": 2,
    "Add": 2,
}
"""Operators that treat each channel alike, and how many of their inputs have channels."""


def pad(model: onnx.ModelProto) -> None:
    """Widen depthwise convolutions and the input of a QDQ graph in place.

    Left as they are: channels that a split, a concatenation or a flattening shares.
    """
    graph = model.graph
    for conv in [node for node in graph.node if node.op_type == "Conv" and _groups(node) > 1]:
        values, more = Values(graph), -_groups(conv) % _MULTIPLE
        if more and _is_depthwise(conv, values):
            channels = _Channels(conv, values)
            if channels.are_closed:
                channels.widen(graph, more)
    _add_a_colour(graph, Values(graph))
    del graph.value_info[:]


class _Channels:
    """All convolutions that write, read or keep the channels of a depthwise one."""

    def __init__(self, conv: NodeProto, values: Values) -> None:
        self._values = values
        self._writers: list[NodeProto] = []
        self._readers: list[NodeProto] = []
        self._seen: set[str] = set()
        self._pending = [conv.input[0], conv.output[0]]
        self.are_closed = self._follow()
        """Whether nothing else has a part in them."""

    def widen(self, graph: onnx.GraphProto, more: int) -> None:
        """Give every convolution so many channels more, all of them 0."""
        for conv in self._writers:
            weight = self._weight(conv)
            for node, place in ((weight, 0), (weight, 1), (weight, 2), (conv, 2)):
                _grow(graph, node, place, more)
            for each in conv.attribute:
                if each.name == "group" and each.i > 1:
                    each.i += more
        for conv in self._readers:
            _grow(graph, self._weight(conv), 0, more, axis=1)

    def _weight(self, conv: NodeProto) -> NodeProto:
        weight = self._values.maker(conv.input[1])
        assert weight is not None
        return weight

    def _follow(self) -> bool:
        """Walk from value to value in both directions; tell whether only known nodes were met."""
        while self._pending:
            name = self._pending.pop()
            if name in self._seen:
                continue
            self._seen.add(name)
            constant = self._values.constant(name)
            if constant is not None and not constant.ndim:
                continue
            maker, users = self._values.maker(name), self._values.users(name)
            if maker is None or not users or not self._passes_back(maker):
                return False
            if not all(self._passes_on(user) for user in users):
                return False
        return True

    def _passes_back(self, maker: NodeProto) -> bool:
        if maker.op_type == "Conv":
            self._writers.append(maker)
            if _is_depthwise(maker, self._values):
                self._pending.append(maker.input[0])
            return _is_known(maker, self._values)
        self._pending += maker.input[: _BY_CHANNEL.get(maker.op_type, 0)]
        return maker.op_type in _BY_CHANNEL

    def _passes_on(self, user: NodeProto) -> bool:
        if user.op_type == "Conv":
            is_depthwise = _is_depthwise(user, self._values)
            if is_depthwise:
                self._pending.append(user.output[0])
            else:
                self._readers.append(user)
            return _is_known(user, self._values)
        self._pending += user.output
        return user.op_type in _BY_CHANNEL


def _add_a_colour(graph: onnx.GraphProto, values: Values) -> None:
    """Give a colour image a fourth channel, if a convolution alone reads it."""
    given = graph.input[0]
    quantize = values.only_user(given.name, "QuantizeLinear")
    bytes_of = values.only_user(quantize.output[0], "DequantizeLinear") if quantize else None
    conv = values.only_user(bytes_of.output[0], "Conv") if bytes_of else None
    if quantize is None or bytes_of is None or conv is None or not _is_known(conv, values):
        return
    weight = values.maker(conv.input[1])
    assert weight is not None
    channels = given.type.tensor_type.shape.dim[1].dim_value
    if channels != _COLOURS or _groups(conv) != 1:
        return
    _grow(graph, weight, 0, 1, axis=1)
    name = f"{quantize.output[0]}_four"
    pads = numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 1, 0, 0]), f"{name}_pads")
    graph.initializer.append(pads)
    padded = helper.make_node("Pad", [quantize.output[0], pads.name, quantize.input[2]], [name])
    graph.node.insert(list(graph.node).index(quantize) + 1, padded)
    bytes_of.input[0] = name


def _is_depthwise(conv: NodeProto, values: Values) -> bool:
    weight = values.maker(conv.input[1])
    shape = values.constant(weight.input[0]) if weight is not None else None
    return shape is not None and _groups(conv) == len(shape) and shape.shape[1] == 1


def _is_known(conv: NodeProto, values: Values) -> bool:
    """Is it a convolution of all channels or of each, with a quantized weight?"""
    weight = values.maker(conv.input[1])
    if weight is None or weight.op_type != "DequantizeLinear":
        return False
    if len(conv.input) > 2 and values.constant(conv.input[2]) is None:
        return False
    return _groups(conv) == 1 or _is_depthwise(conv, values)


def _groups(conv: NodeProto) -> int:
    return next((int(each.i) for each in conv.attribute if each.name == "group"), 1)


def _grow(graph: onnx.GraphProto, node: NodeProto, place: int, more: int, *, axis: int = 0) -> None:
    """Let a node read a constant with zeros at its end, scales with the last one again.

    Constants without channels, and inputs that the node does not have, stay.
    """
    name = node.input[place] if place < len(node.input) else ""
    tensor = next((each for each in graph.initializer if each.name == name), None)
    if tensor is None or not tensor.dims:
        return
    is_scale = node.op_type == "DequantizeLinear" and place == 1
    ends = [(0, more if each == axis else 0) for each in range(len(tensor.dims))]
    grown = np.pad(numpy_helper.to_array(tensor), ends, mode="edge" if is_scale else "constant")
    fresh = f"{node.output[0]}_wide{len(graph.initializer)}"
    graph.initializer.append(numpy_helper.from_array(grown, fresh))
    node.input[place] = fresh
