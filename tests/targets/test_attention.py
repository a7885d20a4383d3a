"""Attention as targets' converters take it."""

import pytest
import torch
from quantized_networks import ConvolutionalAttention, SharedKeys, Transformer, converted
from torch import Tensor, fx, nn
from torch.nn import functional

from slimline.targets import attention, quantized_graph
from slimline.targets.quantized_graph import DEQUANTIZE, QUANTIZE

ATTENTION = torch.ops.aten.scaled_dot_product_attention.default
FLOATS = torch.arange(32.0).reshape(1, 2, 4, 4) / 8


class Grouped(Transformer):
    """Two heads have one key and value, and two others another."""

    def attend(self, rows: Tensor) -> Tensor:
        queries, keys, values, _ = (
            each.unflatten(-1, (-1, 2)).transpose(1, 2)
            for each in self.qkv(rows).split([8, 4, 4, 8], -1)
        )
        return functional.scaled_dot_product_attention(queries, keys, values, enable_gqa=True)


def attentions(network: fx.GraphModule) -> list[fx.Node]:
    return list(network.graph.find_nodes(op="call_function", target=ATTENTION))


@pytest.mark.parametrize(
    "network",
    [
        Transformer(),
        Transformer(FLOATS),
        Transformer(FLOATS[0, 0]),
        Transformer(FLOATS > 1),  # nothing is left to two rows
        SharedKeys(),
        SharedKeys(FLOATS),
        SharedKeys(FLOATS % 3 > 1),
        Grouped(),
        ConvolutionalAttention(num_shared=2),
    ],
)
def test_attention_is_spelled_out_and_answers_alike(network: nn.Module) -> None:
    quantized, images = converted(network)
    with torch.no_grad():
        expected = quantized(images)
        quantized_graph.apply(quantized, [(attention.can_be_spelled_out, attention.spell_out)])
        torch.testing.assert_close(quantized(images), expected, rtol=0, atol=1e-5)
    assert not attentions(quantized)


def test_what_cannot_be_spelled_out_has_keys_of_its_own_for_each_head() -> None:
    quantized, images = converted(SharedKeys(is_causal=True))
    with torch.no_grad():
        expected = quantized(images)
        (node,) = attentions(quantized)
        assert not attention.can_be_spelled_out(node)
        quantized_graph.apply(quantized, [(attention.shares_keys, attention.repeat_keys)])
        torch.testing.assert_close(quantized(images), expected)
    assert [each.target for each in node.args[1:3]] == 2 * [torch.ops.aten.cat.default]


def test_shapes_of_what_is_rounded_anew_are_known() -> None:
    quantized, _ = converted(ConvolutionalAttention())
    quantized_graph.apply(quantized, [])
    rounded = [node for node in quantized.graph.nodes if node.target in {QUANTIZE, DEQUANTIZE}]
    for node in rounded:
        given = node.args[0].meta["val"]
        assert node.meta["val"].shape == given.shape
        assert node.meta["val"].dtype == (torch.int8 if node.target is QUANTIZE else torch.float32)
