"""Modules of others that go by channel, found by trial: a scale per channel, ConvNeXtV2's GRN.

Such a module has nothing inside but weights, one or a few for each channel. Half of its channels
are set to 0, and it is narrowed to the others: if it answers there as before, it may be narrowed in
a network too. GRN divides by a mean over channels, which grows as those that are 0 go: its factor
has to grow with it (epsilon, a millionth, apart). Which weight that is, is tried as well.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn

_SIDE = 3
_FEWEST = 4
"""Channels: fewer cannot be told from places."""
_MOST_WEIGHTS = 3
_CLOSE = 1e-4
"""Of what a module answers."""


@dataclass(frozen=True)
class ChannelModule:
    """How a module is narrowed."""

    width: int
    place: int
    """Where its channels stand in what it reads: -3 or -1."""
    growing: Sequence[str]
    """Names of its weights that grow as much as the number of channels shrinks."""

    def takes(self, channels: Tensor) -> bool:
        """Return whether these numbers of channels stand where it has its own."""
        has_place = channels.dim() >= -self.place
        return has_place and channels.shape[self.place] == channels.numel() == self.width

    def narrow(self, module: nn.Module, rows: Tensor) -> None:
        """Keep the weights of these channels, in place."""
        growth = self.width / len(rows)
        for name, weight in list(module.named_parameters(recurse=False)):
            kept = weight.detach().index_select(_dimension(weight, self.width), rows)
            kept = kept * growth if name in self.growing else kept.clone()
            setattr(module, name, nn.Parameter(kept, requires_grad=weight.requires_grad))


def find(network: nn.Module) -> dict[str, ChannelModule]:
    """Return the modules of a network that can be narrowed by themselves, by name."""
    found = {name: _tried(module) for name, module in network.named_modules() if name}
    return {name: each for name, each in found.items() if each is not None}


def _tried(module: nn.Module) -> ChannelModule | None:
    """Return how a module is narrowed, None where it is none that can be."""
    weights = dict(module.named_parameters(recurse=False))
    is_known = any(each.__module__.startswith("torch.nn.") for each in type(module).__mro__[:-2])
    is_plain = not any(True for _ in (*module.children(), *module.buffers(recurse=False)))
    if is_known or not is_plain or not 1 <= len(weights) <= _MOST_WEIGHTS:
        return None
    widths = {max(weight.shape, default=1) for weight in weights.values()}
    width = min(widths)
    if len(widths) > 1 or width < _FEWEST:
        return None
    if any(weight.numel() != width for weight in weights.values()):
        return None
    subsets = (each for count in range(len(weights) + 1) for each in combinations(weights, count))
    chances = (ChannelModule(width, place, each) for each in subsets for place in (-3, -1))
    return next((each for each in chances if _holds(each, module)), None)


@torch.no_grad()
def _holds(chance: ChannelModule, module: nn.Module) -> bool:
    """Return whether a module with weights of chance answers alike when it is narrowed so."""
    chances = torch.Generator().manual_seed(0)
    whole = copy.deepcopy(module).cpu().float().eval()
    for weight in whole.parameters():
        weight.copy_(torch.rand(weight.shape, generator=chances) + 0.5)
    narrow = copy.deepcopy(whole)
    rows = torch.arange(0, chance.width, 2)
    images = torch.zeros(2, _SIDE, _SIDE, chance.width)
    images[..., rows] = torch.rand(2, _SIDE, _SIDE, len(rows), generator=chances) + 0.5
    if chance.place == -3:
        images = images.permute(0, 3, 1, 2).contiguous()
    chance.narrow(narrow, rows)
    try:
        before = whole(images.clone())
        after = narrow(images.index_select(chance.place, rows))
    # Anybody's code, which may refuse what it was not made for in any way that it likes.
    except Exception:
        return False
    if not isinstance(before, Tensor) or before.shape != images.shape:
        return False
    kept = before.index_select(chance.place, rows)
    return kept.shape == after.shape and torch.allclose(kept, after, rtol=_CLOSE)


def _dimension(weight: Tensor, width: int) -> int:
    return next(place for place, size in enumerate(weight.shape) if size == width)


ChannelModules = Mapping[str, ChannelModule]
"""By the names of modules."""
