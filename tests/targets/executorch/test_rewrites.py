from collections import Counter

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from slimline.quantization import qat
from slimline.targets.executorch import rewrites


class Blocks(nn.Module):
    """A gate behind a convolution, a split, a mean that drops its dimensions, and an answer."""

    def __init__(self, *, bias: bool = True) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.gate = nn.Conv2d(8, 8, 1, bias=bias)
        self.answer = nn.Linear(8, 4)

    def forward(self, images: Tensor) -> Tensor:
        image = torch.relu(self.stem(images))
        image = image * functional.hardsigmoid(self.gate(image))
        first, second = image.chunk(2, dim=1)
        answer: Tensor = self.answer(torch.cat((second, first), 1).mean((2, 3)))
        return answer


def converted(network: nn.Module) -> tuple[fx.GraphModule, Tensor]:
    torch.manual_seed(0)
    images = torch.randn(6, 3, 8, 8)
    prepared = qat.prepare(network.eval(), images[:2], weight_bits=8, activation_type="int8")
    prepared(images)
    qat.finish(prepared)
    return qat.convert(prepared), images


def kinds(network: fx.GraphModule) -> Counter[str]:
    return Counter(str(node.target) for node in network.graph.nodes if node.op == "call_function")


@pytest.mark.parametrize("bias", [True, False])
def test_values_stay_and_patterns_fit(bias: bool) -> None:
    network, images = converted(Blocks(bias=bias))
    with torch.no_grad():
        expected = network(images[:1])
        rewrites.rewrite(network)
        found = network(images[:1])
    # What differs is the input of the answer, rounded for this image to 256 steps of its own.
    assert float((expected - found).abs().max()) < 0.02 * float(expected.max() - expected.min())
    after = kinds(network)
    assert not {"aten.chunk.default", "aten.hardsigmoid.default"} & set(after)
    assert after["aten.slice.Tensor"] == 2
    assert after["quantized_decomposed.choose_qparams.tensor"] == 1
    (mean,) = (node for node in network.graph.nodes if node.target is torch.ops.aten.mean.dim)
    assert mean.args[2] is True


class FloatInside(nn.Module):
    """A convolution whose values are used before they are quantized."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        return torch.tanh(self.conv(images)).flatten(1)


def test_a_layer_that_nothing_quantizes_becomes_float_and_answers_alike() -> None:
    network, images = converted(FloatInside())
    for node in list(network.graph.nodes):
        # As a quantizer would leave it that has no range for what a convolution gives.
        if node.target is torch.ops.aten.tanh.default:
            node.replace_input_with(node.args[0], first_layer(node))
    network.graph.eliminate_dead_code()
    network.recompile()
    with torch.no_grad():
        expected = network(images)
        rewrites.rewrite(network)
        torch.testing.assert_close(network(images), expected)
    assert "quantized_decomposed.dequantize_per_channel.default" not in kinds(network)


def first_layer(node: fx.Node) -> fx.Node:
    (given,) = node.all_input_nodes
    while given.target is not torch.ops.aten.conv2d.default:
        given = given.all_input_nodes[0]
    return given


class Dead(nn.Module):
    """A convolution, a gate of it, and an answer; of the first two, one channel has no weights."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.gate, self.answer = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 1), nn.Linear(8, 3)
        for layer, bias in ((self.conv, 20.0), (self.gate, 70.0)):
            layer.weight.data[0] = 0
            layer.bias.data[0] = bias

    def forward(self, images: Tensor) -> Tensor:
        image = torch.relu(self.conv(images))
        answer: Tensor = self.answer(
            (image * functional.hardsigmoid(self.gate(image))).mean((2, 3))
        )
        return answer


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


def most_steps(network: fx.GraphModule) -> list[float]:
    """Return the largest bias of each layer whose input has fixed steps, in its own steps."""
    found = []
    for node in network.graph.nodes:
        if node.target in {torch.ops.aten.conv2d.default, torch.ops.aten.linear.default}:
            image, weight = (each.args for each in node.args[:2])
            if isinstance(image[1], float):
                bias, scale = (
                    rewrites._tensor(network, each) for each in (node.args[2], weight[1])
                )
                found.append(float((bias.double().abs() / (image[1] * scale.double())).max()))
    return found
