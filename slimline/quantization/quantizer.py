"""A quantizer for torchao's PT2E flow that puts fake-quant where ONNX Runtime fuses it.

ONNX Runtime runs a convolution in int8 (`QLinearConv`) only if its input, its weight *and its
output* are quantized, in most releases its bias as well (`passes.int32_biases`); otherwise it
dequantizes the weight on every call, which is slower than float. So each operator is annotated
together with the activation that follows it:

    conv, linear (+ relu, relu6)       input, weight, output; logits stay float
    conv + hard-sigmoid                the same, since the convolution can compute it
    add, mul of two tensors (+ relu)   both inputs, output
    hard-swish                         input, in steps that -3 is one of, and output
    global pooling, sigmoid, ...       input, output
    SiLU                               as x * sigmoid(x)
    split, shuffle, max-pool, concat   share the range of their input: bytes are only moved

`slimline.targets.onnxruntime.passes.hard_swish` says why hard-swish and hard-sigmoid are treated
so, and `slimline.quantization.float_operators` what joins layers that stay float.

Fake-quant is torchao's plain module. Its fused one derives scales and zero points from the range by
another rule than `convert_pt2e` does, so that what is trained is not what is exported.
"""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import (
    FakeQuantize,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
)
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    QuantizationSpec,
    QuantizationSpecBase,
    Quantizer,
    SharedQuantizationSpec,
)

from slimline.quantization import float_operators
from slimline.quantization.observers import (
    OnlySwishObserver,
    RangeObserver,
    SwishObserver,
    SymmetricObserver,
    SymmetricOnlySwishObserver,
    SymmetricSwishObserver,
)
from slimline.quantization.operators import (
    BINARY,
    CONCATENATION,
    CONVOLUTION,
    FUSED_ACTIVATIONS,
    HARD_SIGMOID,
    HARD_SWISH,
    LINEAR,
    MOVES,
    SILU,
    SPLITS,
    UNARY,
    WEIGHTED,
    can_be_int8,
    tensor_inputs,
)
from slimline.targets.schemes import ActivationType, WeightScales

_aten = torch.ops.aten

_ANNOTATION = "quantization_annotation"

_AFFINE = (RangeObserver, SwishObserver, OnlySwishObserver)
_SYMMETRIC = (SymmetricObserver, SymmetricSwishObserver, SymmetricOnlySwishObserver)
"""For any activation, for what a hard-swish and others read, for what hard-swishes alone read."""


class OrtQuantizer(Quantizer):  # type: ignore[misc]
    """Annotates an exported graph, BatchNorm already folded, for ONNX Runtime's QDQ fusions.

    Activations have one range per tensor, affine or symmetric; weights are int8 and symmetric. What
    can be chosen is described in `slimline.quantization.settings.QuantizerParams`. Of
    `float_layers`, by name, neither weight nor input nor output is quantized, unless an int8
    neighbour needs it to be.
    """

    def __init__(
        self,
        *,
        weight_bits: int = 8,
        activation_type: ActivationType = "uint8",
        weights: WeightScales = "per_channel",
        float_layers: Collection[str] = (),
    ) -> None:
        self._float_layers = float_layers
        self._floats: Collection[Node] = ()
        self._is_symmetric = activation_type == "int8_symmetric"
        observers = _SYMMETRIC if self._is_symmetric else _AFFINE
        dtype = activation_dtype(activation_type)
        self._activation, self._swish, self._only_swish = (
            _activation_spec(dtype, observer) for observer in observers
        )
        self._weight = _weight_specs(weight_bits)[weights]

    def transform_for_annotation(self, model: GraphModule) -> GraphModule:
        """Spell SiLU out, in place: ONNX Runtime has sigmoid and product in int8."""
        for node in list(model.graph.nodes):
            if node.target in SILU:
                _spell_out(node)
        model.recompile()
        return model

    def annotate(self, model: GraphModule) -> GraphModule:
        """Write on every node what of it is quantized; in order, since ranges are handed on."""
        self._floats = float_operators.float_nodes(model.graph, self._float_layers)
        for node in model.graph.nodes:
            is_open = _ANNOTATION not in node.meta and node not in self._floats
            if node.op == "call_function" and is_open:
                self._annotate_node(node)
        return model

    def validate(self, model: GraphModule) -> None:
        """Accept every annotation that `annotate` makes."""

    def _annotate_node(self, node: Node) -> None:
        if node.target in WEIGHTED:
            image, weight = tensor_inputs(node)[:2]
            self._annotate_fused(node, {image: self._activation, weight: self._weight})
        elif node.target in BINARY and can_be_int8(node):
            self._annotate_fused(node, dict.fromkeys(tensor_inputs(node), self._activation))
        elif node.target in UNARY:
            self._annotate_fused(node, {tensor_inputs(node)[0]: self._activation})
        elif node.target in HARD_SWISH:
            image = tensor_inputs(node)[0]
            _annotate(node, {image: self._range_for(image)}, self._activation)
        elif node.target is CONCATENATION:
            _annotate_cat(node, self._activation)
        elif node.target in MOVES:
            _annotate_move(node)

    def _annotate_fused(self, node: Node, inputs: dict[Node, QuantizationSpec]) -> None:
        """Annotate a node's inputs, and the output of the activation that it is fused with."""
        last = self._fused_activation(node) if node.target not in UNARY else node
        if node.target is LINEAR and not float_operators.hands_bytes_on(last, self._floats):
            _annotate(node, inputs, None)
            return
        output = self._range_for(last)
        _annotate(node, inputs, output if last is node else None)
        if last is not node:
            _annotate(last, {}, output)

    def _fused_activation(self, node: Node) -> Node:
        """Return the activation that alone uses this node's output, or the node itself."""
        users = list(node.users)
        if len(users) != 1:
            return node
        if users[0].target in FUSED_ACTIVATIONS:
            return users[0]
        # Half of a symmetric range is below 0, where rounding does not saturate as the gate does.
        can_saturate = users[0].target in HARD_SIGMOID and not self._is_symmetric
        is_gated_conv = node.target is CONVOLUTION and can_saturate
        return users[0] if is_gated_conv and _has_own_range(users[0]) else node

    def _range_for(self, node: Node) -> QuantizationSpec:
        """Return how a node's output is quantized, by who reads it."""
        are_swishes = {user.target in HARD_SWISH for user in node.users}
        if are_swishes == {True}:
            return self._only_swish
        return self._swish if True in are_swishes else self._activation


def _spell_out(silu: Node) -> None:
    """Put `x * sigmoid(x)` in the place of a SiLU."""
    image = tensor_inputs(silu)[0]
    with silu.graph.inserting_before(silu):
        gate = silu.graph.call_function(_aten.sigmoid.default, (image,))
        product = silu.graph.call_function(_aten.mul.Tensor, (image, gate))
    for node in (gate, product):
        node.meta = dict(silu.meta)
    silu.replace_all_uses_with(product)
    silu.graph.erase_node(silu)


def activation_dtype(kind: ActivationType) -> torch.dtype:
    """Return the type of a byte."""
    return torch.uint8 if kind == "uint8" else torch.int8


def _activation_spec(dtype: torch.dtype, observer: type[RangeObserver]) -> QuantizationSpec:
    return QuantizationSpec(
        dtype=dtype,
        quant_min=torch.iinfo(dtype).min,
        quant_max=torch.iinfo(dtype).max,
        qscheme=torch.per_tensor_affine,
        observer_or_fake_quant_ctr=FakeQuantize.with_args(observer=observer),
    )


def _weight_specs(bits: int) -> dict[WeightScales, QuantizationSpec]:
    limit = 2 ** (bits - 1) - 1
    alike = {"dtype": torch.int8, "quant_min": -limit, "quant_max": limit}
    return {
        "per_channel": QuantizationSpec(
            **alike,
            qscheme=torch.per_channel_symmetric,
            ch_axis=0,
            observer_or_fake_quant_ctr=FakeQuantize.with_args(
                observer=MovingAveragePerChannelMinMaxObserver, averaging_constant=1.0
            ),
        ),
        "per_tensor": QuantizationSpec(
            **alike,
            qscheme=torch.per_tensor_symmetric,
            observer_or_fake_quant_ctr=FakeQuantize.with_args(
                observer=MovingAverageMinMaxObserver, averaging_constant=1.0
            ),
        ),
    }


def _annotate(
    node: Node,
    inputs: Mapping[Node, QuantizationSpecBase],
    output: QuantizationSpecBase | None,
) -> None:
    node.meta[_ANNOTATION] = QuantizationAnnotation(
        input_qspec_map=dict(inputs), output_qspec=output, _annotated=True
    )


def _annotate_cat(node: Node, activation: QuantizationSpec) -> None:
    """Give all parts one range, so that concatenation copies bytes instead of rescaling them."""
    parts = list(dict.fromkeys(tensor_inputs(node)))
    shared = SharedQuantizationSpec((parts[0], node))
    inputs: dict[Node, Any] = dict.fromkeys(parts, shared)
    inputs[parts[0]] = activation
    _annotate(node, inputs, shared)


def _annotate_move(node: Node) -> None:
    """Share the range of a quantized input, looking through a split, whose parts are one range."""
    given = tensor_inputs(node)[0]
    source = tensor_inputs(given)[0] if given.target in SPLITS else given
    annotation = source.meta.get(_ANNOTATION)
    if annotation is None or annotation.output_qspec is None:
        return
    shared = SharedQuantizationSpec(source)
    inputs: dict[Node, Any] = {} if given.target in SPLITS else {given: shared}
    _annotate(node, inputs, shared)


def _has_own_range(node: Node) -> bool:
    """Is the output's range its own, not one that a concatenation or a move shares with others?"""
    return all(user.target in WEIGHTED | BINARY for user in node.users)
