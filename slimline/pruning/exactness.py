"""Are channels that go as good as channels that are 0?

Code that computes with a width it has from elsewhere, as `x / self.fc.in_features`, answers
otherwise when that changes, or no longer takes what it is given.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from slimline.networks import untrained
from slimline.pruning import channel_flow
from slimline.pruning.channel_flow import PrunableLayer

if TYPE_CHECKING:
    from slimline.pruning.channel_plan import ChannelPlan
    from slimline.pruning.groups import Group

_SAME = 1e-4
"""Of the spread of logits; sums in another order need less than a hundredth of it."""


def groups(plan: ChannelPlan, shape: Sequence[int]) -> Sequence[Group]:
    """Return the groups of a plan of which channels can go as if they were 0.

    `shape` is that of an input, [batch, channels, height, width].
    """
    exact = _exact_among(plan.groups, plan, shape)
    return exact if len(exact) == len(plan.groups) or _are_exact(exact, plan, shape) else []


def _exact_among(some: Sequence[Group], plan: ChannelPlan, shape: Sequence[int]) -> Sequence[Group]:
    """Return those that are, looked at in halves: most often it is all of them."""
    if _are_exact(some, plan, shape):
        return some
    half = len(some) // 2
    parts = (some[:half], some[half:]) if half else ()
    return [group for part in parts for group in _exact_among(part, plan, shape)]


@torch.no_grad()
def _are_exact(some: Sequence[Group], plan: ChannelPlan, shape: Sequence[int]) -> bool:
    """Does a copy that is half as wide answer as one whose other channels are 0, and unread?"""
    trial = copy.deepcopy(plan)
    # Whether code is exact depends on no weights, but it would not be seen behind zeros.
    untrained.wake(trial.network.cpu().eval())
    unread = copy.deepcopy(trial.network)
    for group, own in zip(plan.groups, trial.groups, strict=True):
        if any(group is each for each in some):
            own.remove(own.full_width / 2)
    for name, (rows, columns) in trial.cut().items():
        layer: Any = unread.get_submodule(name)
        for weight in layer.parameters(recurse=False):
            # Modules of others hold theirs in dimensions of 1 as well.
            by_channel = weight if isinstance(layer, PrunableLayer) else weight.flatten()
            if len(by_channel) > 1:
                by_channel[_others(rows, len(by_channel))] = 0
        if not channel_flow.is_channelwise(layer):
            layer.weight[:, _others(columns, layer.weight.shape[1])] = 0
    images = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    expected: Tensor = unread(images)
    try:
        found = trial.network(images)
    except (RuntimeError, ValueError, IndexError, TypeError):
        return False
    difference, spread = (found - expected).abs().max(), expected.max() - expected.min()
    return not difference > _SAME * spread  # a network whose answers are NaN shows nothing


def _others(kept: Tensor, count: int) -> Tensor:
    """Return which of so many are not among those kept, of which -1 is a new one; bool [count]."""
    others = torch.ones(count, dtype=torch.bool)
    others[kept[kept >= 0]] = False
    return others
