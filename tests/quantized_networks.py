"""Small networks of what targets' rewrites are for, quantized."""

from collections import Counter

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from slimline.quantization import qat
from slimline.targets import quantized_graph
from slimline.targets.schemes import WeightScales

SWISHES = {torch.ops.aten.hardswish.default, torch.ops.aten.hardswish_.default}


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


class Answer(nn.Module):
    """A layer that answers, of numbers of both signs or of one."""

    def __init__(self, *, is_signed: bool) -> None:
        super().__init__()
        self.is_signed, self.answer = is_signed, nn.Linear(192, 4)

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.flatten(1)
        answer: Tensor = self.answer(pixels if self.is_signed else torch.relu(pixels))
        return answer


class FloatInside(nn.Module):
    """A convolution whose values are used before they are quantized."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        return torch.tanh(self.conv(images)).flatten(1)


class Swish(nn.Module):
    """A hard-swish behind a convolution, and an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.answer = nn.Conv2d(3, 8, 3), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        answer: Tensor = self.answer(functional.hardswish(self.conv(images)).mean((2, 3)))
        return answer


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


class Transformer(nn.Module):
    """Patches, one block of attention and GELU, and an answer: linear layers that float reads."""

    def __init__(self, mask: Tensor | None = None, dim: int = 0) -> None:
        super().__init__()
        self.mask, self.dim = mask, dim
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.norm, self.qkv, self.out = nn.LayerNorm(8), nn.Linear(8, 24), nn.Linear(8, 8)
        self.wide, self.narrow = nn.Linear(8, 16), nn.Linear(16, 8)
        self.answer = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.patches(images).flatten(2).transpose(1, 2)
        mixed = self.attend(self.norm(rows))
        rows = rows + self.out(mixed.transpose(1, 2).flatten(2))
        rows = rows + self.narrow(functional.gelu(self.wide(rows)))
        answer: Tensor = self.answer(rows.mean(1))
        return answer

    def attend(self, rows: Tensor) -> Tensor:
        qkv = self.qkv(rows).unflatten(-1, (3, 2, 4))
        if self.dim == 0:
            parts = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        else:
            parts = tuple(each.transpose(1, 2) for each in qkv.unbind(self.dim))
        return functional.scaled_dot_product_attention(*parts, attn_mask=self.mask)


class SharedKeys(Transformer):
    """Heads share their keys and values, as in multi-query attention."""

    def __init__(self, mask: Tensor | None = None, *, is_causal: bool = False) -> None:
        super().__init__(mask)
        self.is_causal = is_causal
        nn.init.normal_(self.qkv.weight)  # so that attention has an effect

    def attend(self, rows: Tensor) -> Tensor:
        queries, keys, values, _ = self.qkv(rows).split([8, 4, 4, 8], -1)
        return functional.scaled_dot_product_attention(
            queries.unflatten(-1, (2, 4)).transpose(1, 2),
            keys.unsqueeze(1),
            values.unsqueeze(1),
            attn_mask=self.mask,
            is_causal=self.is_causal,
        )


class ConvolutionalAttention(nn.Module):
    """Queries, keys and values of convolutions, whose values int8 rounds, and an answer."""

    def __init__(self, *, num_shared: int = 1) -> None:
        super().__init__()
        self.stem, self.queries = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.keys, self.values = (nn.Conv2d(8, 8 // num_shared, 1) for _ in range(2))
        self.out, self.answer = nn.Conv2d(8, 8, 1), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = torch.relu(self.stem(images))
        parts = (
            layer(maps).flatten(2).unflatten(1, (-1, 4)).transpose(2, 3)
            for layer in (self.queries, self.keys, self.values)
        )
        mixed = functional.scaled_dot_product_attention(*parts)
        maps = maps + self.out(mixed.transpose(2, 3).reshape(maps.shape))
        answer: Tensor = self.answer(maps.mean((2, 3)))
        return answer


class Scaled(nn.Module):
    """A layer scale, whose bytes have a zero point of their own, and an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.scale, self.answer = nn.Parameter(torch.full((8, 1, 1), 0.5)), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = torch.relu(self.stem(images))
        maps = maps + self.scale * self.conv(maps)
        answer: Tensor = self.answer(maps.mean((2, 3)))
        return answer


class Bessel(nn.Module):
    """A convolution, an operator that no device has, and an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.answer = nn.Conv2d(3, 8, 3), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        answer: Tensor = self.answer(torch.special.bessel_j0(self.conv(images)).mean((2, 3)))
        return answer


def converted(
    network: nn.Module, weights: WeightScales = "per_channel"
) -> tuple[fx.GraphModule, Tensor]:
    """Return a network in int8 by the ranges of six images, and these."""
    torch.manual_seed(0)
    images = torch.randn(6, 3, 8, 8)
    prepared = qat.prepare(
        network.eval(), images[:2], weight_bits=8, activation_type="int8", weights=weights
    )
    prepared(images)
    qat.finish(prepared)
    return qat.convert(prepared), images


def with_fine_steps(network: fx.GraphModule, finer: float) -> fx.GraphModule:
    """Give what is behind a hard-swish steps so much finer than its input's."""
    for node in network.graph.nodes:
        if node.target in SWISHES:
            own = node.args[0].args[1] / finer
            (quantize,) = node.users
            for each in (quantize, *quantize.users):
                each.update_arg(1, own)
    network.recompile()
    return network


def kinds(network: fx.GraphModule) -> Counter[str]:
    """Return how often each operator is called."""
    return Counter(str(node.target) for node in network.graph.nodes if node.op == "call_function")


def read_first_layer(network: fx.GraphModule) -> None:
    """Let tanh read what the convolution gives, as by a quantizer that has no range for it."""
    for node in list(network.graph.nodes):
        if node.target is torch.ops.aten.tanh.default:
            node.replace_input_with(node.args[0], _first_layer(node))
    network.graph.eliminate_dead_code()
    network.recompile()


def _first_layer(node: fx.Node) -> fx.Node:
    (given,) = node.all_input_nodes
    while given.target is not torch.ops.aten.conv2d.default:
        given = given.all_input_nodes[0]
    return given


def most_steps(network: fx.GraphModule) -> list[float]:
    """Return the largest bias of each layer whose input has fixed steps, in its own steps."""
    found = []
    for node in network.graph.nodes:
        if node.target in {torch.ops.aten.conv2d.default, torch.ops.aten.linear.default}:
            image, weight = (each.args for each in node.args[:2])
            if isinstance(image[1], float) and len(weight) > 1:
                bias, scale = (
                    quantized_graph.tensor(network, each) for each in (node.args[2], weight[1])
                )
                found.append(float((bias.double().abs() / (image[1] * scale.double())).max()))
    return found
