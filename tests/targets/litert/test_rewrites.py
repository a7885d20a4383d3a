import numpy as np
import pytest
import torch
from quantized_networks import (
    SWISHES,
    Blocks,
    Dead,
    FloatInside,
    Scaled,
    Swish,
    converted,
    kinds,
    most_steps,
    read_first_layer,
    with_fine_steps,
)
from torch import Tensor, fx

from slimline.targets.litert import rewrites
from slimline.targets.quantized_graph import QUANTIZE


def rewritten(network: fx.GraphModule) -> fx.GraphModule:
    rewrites.rewrite(network, image="input", answer="logits")
    return network


def answer(network: fx.GraphModule, images: Tensor) -> Tensor:
    (logits,) = network(input=images.permute(0, 2, 3, 1)).values()
    return logits


@pytest.mark.parametrize("bias", [True, False])
def test_values_stay_and_patterns_fit(bias: bool) -> None:
    network, images = converted(Blocks(bias=bias))
    with torch.no_grad():
        expected = network(images)
        found = answer(rewritten(network), images)
    # A gate may round a tie otherwise, being computed in another order.
    assert float((expected - found).abs().max()) < 0.02 * float(expected.max() - expected.min())
    after = kinds(network)
    assert not {"aten.chunk.default", "aten.hardsigmoid.default", "aten.hardtanh.default"} & set(
        after
    )
    assert after["aten.slice.Tensor"] == 2
    channels = "quantized_decomposed.{}_per_channel.default"
    assert after[channels.format("quantize")] == after[channels.format("dequantize")] == 2


def test_a_layer_scale_stays_what_it_is() -> None:
    network, images = converted(Scaled())
    with torch.no_grad():
        expected = network(images)
        torch.testing.assert_close(answer(rewritten(network), images), expected)


def test_rounding_the_floats_gives_the_bytes() -> None:
    network, _ = converted(Blocks())
    dequantizes = [
        node
        for node in network.graph.nodes
        if node.target is torch.ops.quantized_decomposed.dequantize_per_channel.default
    ]
    stored = {node.name: getattr(network, node.args[0].target) for node in dequantizes}
    rewritten(network)
    compared = 0
    for node in network.graph.nodes:
        if node.name in stored:
            held, scale, *rest = node.args[0].args
            parts = (network.get_buffer(each.target) for each in (held, scale))
            again = node.args[0].target(*parts, network.get_buffer(rest[0].target), *rest[1:])
            assert torch.equal(again, stored[node.name])
            compared += 1
    assert compared


def test_a_layer_that_nothing_quantizes_becomes_float_and_answers_alike() -> None:
    network, images = converted(FloatInside())
    read_first_layer(network)
    with torch.no_grad():
        expected = network(images)
        torch.testing.assert_close(answer(rewritten(network), images), expected)
    assert "quantized_decomposed.dequantize_per_channel.default" not in kinds(network)


def test_a_dead_channel_has_a_bias_that_32_bits_hold() -> None:
    network, images = converted(Dead())
    with torch.no_grad():
        expected = network(images)
        found = answer(rewritten(network), images)
    assert max(most_steps(network)) < 2**31
    assert float((expected - found).abs().max()) < 0.02 * float(expected.max() - expected.min())


def test_a_gate_is_clipped_where_rounding_does_not() -> None:
    network, _ = converted(Blocks())
    for node in network.graph.nodes:
        if node.target is QUANTIZE and node.args[0].target is torch.ops.aten.hardsigmoid.default:
            node.update_arg(1, 2 * node.args[1])
    assert kinds(rewritten(network))["aten.hardtanh.default"] == 1


@pytest.mark.parametrize(("finer", "swishes"), [(100, 1), (200, 0)])
def test_a_hard_swish_that_litert_refuses_is_spelled_out(finer: float, swishes: int) -> None:
    network, images = converted(Swish())
    with torch.no_grad():
        expected = with_fine_steps(network, finer)(images)
        torch.testing.assert_close(answer(rewritten(network), images), expected)
    assert sum(node.target in SWISHES for node in network.graph.nodes) == swishes


def test_ranges_are_those_of_activations_and_weights() -> None:
    network, _ = converted(Blocks())
    found = list(rewrites.ranges(rewritten(network)))
    assert [zero for scales, zero in found if len(scales) > 1] == [0, 0]
    assert all(np.float32(each) == each for scales, _ in found for each in scales)
