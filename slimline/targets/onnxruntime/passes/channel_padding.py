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
import onnx_ir as ir

from slimline.targets.onnxruntime.graph import (
    DEQUANTIZE,
    QUANTIZE,
    add_constant,
    chain,
    constant,
    insert_after,
    maker,
    set_constant,
)

_MULTIPLE = 16
_COLOURS = 3
_BY_CHANNEL = {
    QUANTIZE: 1,
    DEQUANTIZE: 1,
    "Clip": 1,
    "Relu": 1,
    "Sigmoid": 1,
    "GlobalAveragePool": 1,
    "Mul": 2,
    "Add": 2,
}
"""Operators that treat each channel alike, and how many of their inputs have channels."""


def pad(model: ir.Model) -> None:
    """Widen depthwise convolutions and the input of a QDQ graph in place.

    Left as they are: channels that a split, a concatenation or a flattening shares.
    """
    for conv in model.graph:
        more = -_groups(conv) % _MULTIPLE
        if conv.op_type == "Conv" and _groups(conv) > 1 and more and _is_depthwise(conv):
            channels = _Channels(conv)
            if channels.are_closed:
                channels.widen(more)
    _add_a_colour(model.graph)


class _Channels:
    """All convolutions that write, read or keep the channels of a depthwise one."""

    def __init__(self, conv: ir.Node) -> None:
        self._writers: list[ir.Node] = []
        self._readers: list[ir.Node] = []
        self._seen: set[ir.Value] = set()
        self._pending = [conv.inputs[0], conv.outputs[0]]
        self.are_closed = self._follow()
        """Whether nothing else has a part in them."""

    def widen(self, more: int) -> None:
        """Give every convolution so many channels more, all of them 0."""
        for conv in self._writers:
            weight = maker(conv, 1)
            for node, place in ((weight, 0), (weight, 1), (weight, 2), (conv, 2)):
                _grow(node, place, more)
            if _groups(conv) > 1:
                conv.attributes.add(ir.AttrInt64("group", _groups(conv) + more))
        for conv in self._readers:
            _grow(maker(conv, 1), 0, more, axis=1)

    def _follow(self) -> bool:
        """Walk from value to value in both directions; tell whether only known nodes were met."""
        while self._pending:
            value = self._pending.pop()
            assert value is not None
            is_number = value.const_value is not None and not value.const_value.shape
            if value in self._seen or is_number:
                continue
            self._seen.add(value)
            before, users = value.producer(), value.consumers()
            if before is None or not users or not self._passes_back(before):
                return False
            if not all(self._passes_on(user) for user in users):
                return False
        return True

    def _passes_back(self, node: ir.Node) -> bool:
        if node.op_type == "Conv":
            self._writers.append(node)
            if _is_depthwise(node):
                self._pending.append(node.inputs[0])
            return _is_known(node)
        self._pending += node.inputs[: _BY_CHANNEL.get(node.op_type, 0)]
        return node.op_type in _BY_CHANNEL

    def _passes_on(self, node: ir.Node) -> bool:
        if node.op_type == "Conv":
            if _is_depthwise(node):
                self._pending.append(node.outputs[0])
            else:
                self._readers.append(node)
            return _is_known(node)
        self._pending += node.outputs
        return node.op_type in _BY_CHANNEL


def _add_a_colour(graph: ir.Graph) -> None:
    """Give a colour image a fourth channel, if a convolution alone reads it."""
    image = graph.inputs[0]
    nodes = chain(image, QUANTIZE, DEQUANTIZE, "Conv")
    if len(nodes) < 3 or not _is_known(nodes[-1]):
        return
    quantize, _, conv = nodes
    assert image.shape is not None
    if image.shape[1] != _COLOURS or _groups(conv) != 1:
        return
    _grow(maker(conv, 1), 0, 1, axis=1)
    pads = add_constant(quantize, np.array([0, 0, 0, 0, 0, 1, 0, 0]))
    tape = ir.tape.Tape()
    tape.op("Pad", [quantize.outputs[0], pads, quantize.inputs[2]])
    insert_after(quantize.outputs[0], tape)


def _is_depthwise(conv: ir.Node) -> bool:
    weight = constant(maker(conv, 1), 0)
    return weight is not None and _groups(conv) == len(weight) and weight.shape[1] == 1


def _is_known(conv: ir.Node) -> bool:
    """Is it a convolution of all channels or of each, with a quantized weight of its own?

    The exporter writes equal weights once: untrained branches of a RepGhost share theirs.
    """
    weight = maker(conv, 1)
    if weight is None or weight.op_type != DEQUANTIZE or maker(conv, 2) is not None:
        return False
    if len(weight.outputs[0].consumers()) > 1:
        return False
    return _groups(conv) == 1 or _is_depthwise(conv)


def _groups(conv: ir.Node) -> int:
    return conv.attributes.get_int("group", 1)


def _grow(node: ir.Node | None, place: int, more: int, *, axis: int = 0) -> None:
    """Let a node read a constant with zeros at its end, scales with the last one again.

    Constants without channels, and inputs that the node does not have, stay.
    """
    content = constant(node, place)
    if node is None or content is None or not content.ndim:
        return
    is_scale = node.op_type == DEQUANTIZE and place == 1
    ends = [(0, more if each == axis else 0) for each in range(content.ndim)]
    set_constant(node, place, np.pad(content, ends, mode="edge" if is_scale else "constant"))
