import pytest
import torch
from quantized_networks import (
    Blocks,
    Dead,
    FloatInside,
    SharedKeys,
    Transformer,
    converted,
    kinds,
    most_steps,
    read_first_layer,
)

from slimline.targets.executorch import rewrites
from slimline.targets.schemes import WeightScales


@pytest.mark.parametrize("bias", [True, False])
def test_values_stay_and_patterns_fit(bias: bool) -> None:
    network, images = converted(Blocks(bias=bias))
    with torch.no_grad():
        expected = network(images[:1])
        rewrites.rewrite(network)
        found = network(images[:1])
    assert float((expected - found).abs().max()) < 1e-5 * float(expected.max() - expected.min())
    after = kinds(network)
    assert not {"aten.chunk.default", "aten.hardsigmoid.default"} & set(after)
    assert after["aten.slice.Tensor"] == 2
    assert after["quantized_decomposed.choose_qparams.tensor"] == 1
    (mean,) = (node for node in network.graph.nodes if node.target is torch.ops.aten.mean.dim)
    assert mean.args[2] is True


_FLOATS = torch.arange(32.0).reshape(1, 2, 4, 4) / 8


@pytest.mark.parametrize(
    ("network", "weights"),
    [
        (Transformer(), "per_channel"),
        (Transformer(_FLOATS), "per_channel"),
        (Transformer(_FLOATS > 1), "per_channel"),
        (SharedKeys(_FLOATS[0]), "per_channel"),
        (Transformer(), "per_tensor"),
        (Transformer(dim=2), "per_channel"),
        (Transformer(dim=-3), "per_channel"),
    ],
)
def test_a_transformer_is_left_to_kernels_that_xnnpack_has(
    network: Transformer, weights: WeightScales
) -> None:
    network, images = converted(network, weights)
    with torch.no_grad():
        expected = network(images)
        rewrites.rewrite(network)
        found = network(images)
    assert float((expected - found).abs().max()) < 0.02 * float(expected.max() - expected.min())
    after = kinds(network)
    assert not {"aten.scaled_dot_product_attention.default", "aten.unbind.int"} & set(after)
    # Before attention, GELU and the end: they round their input themselves.
    assert after["quantized_decomposed.choose_qparams.tensor"] == 3
    assert after["quantized_decomposed.dequantize_per_channel.default"] >= 3


def test_a_layer_that_nothing_quantizes_becomes_float_and_answers_alike() -> None:
    network, images = converted(FloatInside())
    read_first_layer(network)
    with torch.no_grad():
        expected = network(images)
        rewrites.rewrite(network)
        torch.testing.assert_close(network(images), expected)
    assert "quantized_decomposed.dequantize_per_channel.default" not in kinds(network)


def test_a_dead_channel_has_a_bias_that_32_bits_hold() -> None:
    network, images = converted(Dead())
    assert sum(steps > 2**31 for steps in most_steps(network)) == 2
    with torch.no_grad():
        before = network(images)
        rewrites.rewrite(network)
        after = network(images)
    found = most_steps(network)
    assert len(found) == 2
    assert max(found) < 2**31
    # The answer's input is rounded image by image, as above.
    assert float((before - after).abs().max()) < 0.02 * float(before.max() - before.min())
