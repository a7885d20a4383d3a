"""In which order of bytes a network is run: channels last, where it can be."""

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx, nn

from slimline.training import determinism

_VOLUMES = 5
"""Dimensions of weights that torch has no such order for, as of `nn.Conv3d`."""

_AS_COMPLEX = torch.ops.aten.view_as_complex.default
"""Reads pairs of numbers that lie side by side."""

_LONGEST_VECTOR = 16
"""Floats in a register."""


@torch.no_grad()
def of(network: nn.Module, images: Tensor) -> torch.memory_format:
    """Return the order for a network in evaluation mode; `images` are two or more that it takes.

    A graph of operators is none of a user's: it reshapes, and never views.
    """
    tensors = [*network.parameters(), *network.buffers()]
    if any(each.dim() == _VOLUMES for each in tensors):
        return torch.contiguous_format
    is_astray = any(_writes_astray(*each) for each in _convolutions(network))
    if is_astray and images.device.type == "cpu":
        return torch.contiguous_format
    if isinstance(network, fx.GraphModule):
        is_complex = network.graph.find_nodes(op="call_function", target=_AS_COMPLEX)
        return torch.contiguous_format if is_complex else determinism.MEMORY_FORMAT
    network.to(memory_format=determinism.MEMORY_FORMAT)
    try:
        network(images.to(memory_format=determinism.MEMORY_FORMAT))
    except RuntimeError:  # `x.view(x.size(0), -1)` is refused, and weights as complex numbers
        network.to(memory_format=torch.contiguous_format)
        # A copy, since images of one channel are in both orders at once, and stay in this one.
        network(images.clone(memory_format=torch.contiguous_format))
        return torch.contiguous_format
    return determinism.MEMORY_FORMAT


def _convolutions(network: nn.Module) -> Iterator[tuple[Tensor, Sequence[int], int]]:
    """Yield weights, stride and groups of each convolution over images."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            yield layer.weight, layer.stride, layer.groups
    graph = network.graph if isinstance(network, fx.GraphModule) else fx.Graph()
    for node in graph.find_nodes(op="call_function", target=torch.ops.aten.conv2d.default):
        source: Any = node.args[1]
        while isinstance(source, fx.Node) and source.op != "get_attr":  # behind fake-quant
            source = source.args[0] if source.args else None
        if not isinstance(source, fx.Node):
            continue  # weights that the network computes
        weight = attrgetter(str(source.target))(network)
        stride = node.args[3] if len(node.args) > 3 else (1, 1)
        yield weight, stride, node.args[6] if len(node.args) > 6 else 1


def _writes_astray(weight: Tensor, stride: Sequence[int], groups: int) -> bool:
    """Whether torch's gradient of these weights writes where it should not, on a CPU.

    With channels last, torch 2.14.1 does for kernels of one pixel with a stride and fewer inputs
    than a vector register has floats: 8 were seen with AVX2, 16 are taken for AVX-512.
    """
    is_thin = groups == 1 and weight.shape[1] < _LONGEST_VECTOR
    return is_thin and weight.shape[2:].numel() == 1 and max(stride) > 1
