"""The optimizer of a training run, and the schedule of its learning rate."""

from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR

from slimline.training.settings import Recipe, TransferRecipe

_WARMUP = 0.2
"""Share of a run in which the learning rate rises."""


def schedule(optimizer: torch.optim.Optimizer, steps: int) -> OneCycleLR:
    """Return one cycle of rising and falling rates, each group to its own peak.

    Smith and Topin, 2019, arXiv:1708.07120; momentum falls and rises the other way.
    """
    peaks = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, peaks, total_steps=steps, pct_start=_warmup(steps))


def optimizer(network: nn.Module, recipe: Recipe, head: str) -> torch.optim.Optimizer:
    """Return what makes the steps, over what is not frozen; `head` is the prefix of the head's."""
    groups = _groups(network, recipe, head)
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups, rate, momentum=0.9, nesterov=True, weight_decay=decay, fused=True
        )
    return torch.optim.AdamW(groups, rate, weight_decay=decay, fused=True)


def _groups(network: nn.Module, recipe: Recipe, head: str) -> list[dict[str, Any]]:
    """Return what is trained, each with its peak learning rate; the head comes first."""
    trained = [each for each in network.named_parameters() if each[1].requires_grad]
    share = recipe.backbone_rate if isinstance(recipe, TransferRecipe) else 1
    if share == 1:
        groups: list[dict[str, Any]] = [{"params": [weight for _, weight in trained]}]
    else:
        heads = [weight for name, weight in trained if name.startswith(head)]
        others = [weight for name, weight in trained if not name.startswith(head)]
        rate = recipe.learning_rate
        groups = [{"params": heads, "lr": rate}, {"params": others, "lr": share * rate}]
    if not recipe.step.decay_all:
        groups = [part for group in groups for part in _by_decay(group)]
    return [group for group in groups if group["params"]]


def _by_decay(group: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a group in two: what decays, and biases and norms, which don't."""
    matrices = [weight for weight in group["params"] if weight.dim() > 1]
    vectors = [weight for weight in group["params"] if weight.dim() <= 1]
    return [group | {"params": matrices}, group | {"params": vectors, "weight_decay": 0.0}]


def _warmup(steps: int) -> float:
    """Return `_WARMUP`, or two steps where that is a single one, for which torch divides by 0."""
    return _WARMUP if round(_WARMUP * steps, 6) != 1 else 2 / steps
