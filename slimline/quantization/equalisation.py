"""Lets all channels between two layers reach as far, so that one range of bytes suits them all.

A channel that leaves one layer smaller and enters the next with weights that are larger by as much
is the same in float, since ReLU keeps proportions (cross-layer equalisation: Nagel et al. 2019,
Data-Free Quantization Through Weight Equalization and Bias Correction, section 4.1). Factors are
powers of two, so that no float is rounded: the answers stay the same, bit for bit.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from slimline.quantization.folded_modules import is_plain

_SWEEPS = 20
"""A layer is the second of one pair and the first of the next: what one gains, the other shares."""


def equalise(network: fx.GraphModule) -> list[str]:
    """Scale the weights of a traced network in place; return the first layers of its pairs.

    BatchNorm must be folded. A pair is a convolution whose output a ReLU or nothing takes to one
    other convolution alone (of all channels, or of each). One of a class of its own may compute
    with another weight than it keeps, and one that shares its weight would change another layer:
    these stay as they are.
    """
    found = list(pairs(network))
    for _ in range(_SWEEPS):
        moved = [each.equalise() for each in found]
        if not any(moved):
            break
    return [each.name for each in found]


@dataclass(frozen=True)
class Pair:
    """Two layers, of which one alone reads what the other writes."""

    name: str
    first: nn.Conv2d
    second: nn.Conv2d

    @torch.no_grad()
    def equalise(self) -> bool:
        """Let both weights of each channel reach as far; tell whether any was changed."""
        before, after = _reach(self.first.weight), _reach(self.by_input())
        factor = torch.exp2(torch.round(torch.log2((after / before).sqrt())))
        factor[~torch.isfinite(factor) | (factor == 0)] = 1  # a channel without weights has none
        self.first.weight.mul_(_along(factor, self.first.weight, 0))
        if self.first.bias is not None:
            self.first.bias.mul_(factor)
        self.by_input().div_(_along(factor, self.by_input(), 0))
        return bool((factor != 1).any())

    def by_input(self) -> Tensor:
        """Return the second layer's weight, its input channels first; a view."""
        return self.second.weight if self.second.groups > 1 else self.second.weight.transpose(0, 1)


def pairs(network: fx.GraphModule) -> Iterator[Pair]:
    """Yield the pairs of a traced network, in order of execution."""
    modules = dict(network.named_modules())
    uses = Counter(
        id(weight) for module in modules.values() for weight in module.parameters(recurse=False)
    )
    calls = [str(node.target) for node in network.graph.nodes if node.op == "call_module"]
    for node in network.graph.nodes:
        first = modules.get(str(node.target)) if node.op == "call_module" else None
        user = _only_user(node)
        if user is not None and _is_relu(user, modules):
            user = _only_user(user)
        if user is None or user.op != "call_module":
            continue
        second = modules.get(str(user.target))
        is_called_once = calls.count(str(node.target)) == calls.count(str(user.target)) == 1
        if not is_called_once or not is_plain(first) or not is_plain(second):
            continue
        if _is_own(first, uses) and _is_own(second, uses) and _reads_channels(second):
            yield Pair(str(node.target), first, second)


def _is_own(layer: nn.Module, uses: Mapping[int, int]) -> bool:
    """Does no other layer compute with the weights of this one, and nothing change them first?"""
    is_hooked = bool(layer._forward_pre_hooks)
    return not is_hooked and all(uses[id(each)] == 1 for each in layer.parameters())


def _reads_channels(second: nn.Conv2d) -> bool:
    """Does a layer read each channel by weights of its own?"""
    return second.groups == 1 or second.groups == second.in_channels == second.out_channels


def _is_relu(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return isinstance(modules.get(str(node.target)), nn.ReLU)
    return node.target in {torch.relu, nn.functional.relu, "relu", "relu_"}


def _only_user(node: fx.Node) -> fx.Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 else None


def _reach(weight: Tensor) -> Tensor:
    """Return the largest absolute value of each entry of the first axis."""
    return weight.abs().flatten(1).amax(1)


def _along(factor: Tensor, weight: Tensor, axis: int) -> Tensor:
    return factor.view([-1 if each == axis else 1 for each in range(weight.dim())])
