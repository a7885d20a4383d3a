"""Finds what a network calls by no fixed name: its first convolution, its head, its stages.

It is run once on black images, and each layer notes when it is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from slimline.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAIN_SHARE = 0.9
"""Of the weights between stem and head, that a part must hold for its own to be the stages."""

_LAYERS = (nn.Conv2d, nn.Linear)


@dataclass(frozen=True)
class Parts:
    """Where a network begins and ends, by the names of its modules."""

    stem: str
    """The first convolution."""
    head: str
    """The last layer with weights, which gives the answer."""
    trunk: tuple[str, ...]
    """What lies between, in order of execution."""

    def stages(self, network: nn.Module) -> tuple[str, ...]:
        """Return those parts of the trunk that have layers, and not normalisation alone."""
        return tuple(
            part
            for part in self.trunk
            if any(isinstance(each, _LAYERS) for each in network.get_submodule(part).modules())
        )


def find(network: nn.Module, *, channels: int, size: int) -> Parts:
    """Return the parts of a network that takes float32 [batch, channels, size, size].

    Raises:
        NetworkError: it cannot be run, or does not begin with a convolution or end with a layer
            that answers.
    """
    order = _in_order(network, channels=channels, size=size)
    layers = [name for name in order if isinstance(network.get_submodule(name), _LAYERS)]
    if not layers or not isinstance(network.get_submodule(layers[0]), nn.Conv2d):
        raise NetworkError("its first layer with weights is no nn.Conv2d")
    stem, head = layers[0], layers[-1]
    if stem == head:
        raise NetworkError("it has a single layer")
    return Parts(stem, head, tuple(_trunk(network, order, stem, head)))


def _in_order(network: nn.Module, *, channels: int, size: int) -> list[str]:
    """Return the names of all modules in the order in which they are first called."""
    called: dict[str, None] = {}

    def note(name: str) -> Any:
        return lambda *_: called.setdefault(name)

    hooks = [
        each.register_forward_pre_hook(note(name)) for name, each in network.named_modules() if name
    ]
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(torch.zeros(2, channels, size, size))
    except (RuntimeError, ValueError, AssertionError, TypeError, IndexError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NetworkError(
            f"does not run on images of {channels} x {size} x {size}: {reason}"
        ) from error
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return list(called)


def _trunk(network: nn.Module, order: Sequence[str], stem: str, head: str) -> list[str]:
    """Return the largest parts with weights between stem and head, in order of execution.

    A part in which nearly all weights are is no part: its own parts are.
    """
    ends = [_weights(network.get_submodule(each)) for each in (stem, head)]
    total = _weights(network) - sum(ends)
    waiting = [name for name, _ in network.named_children()]
    found = []
    while waiting:
        part = waiting.pop(0)
        module = network.get_submodule(part)
        inside = [f"{part}.{child}" for child, _ in module.named_children()]
        is_main = _weights(module) > _MAIN_SHARE * total and len(inside) > 1
        if inside and (_within(stem, part) or _within(head, part) or is_main):
            waiting = inside + waiting
        elif _weights(module) and part not in (stem, head):
            found.append(part)
    first = {part: _place(order, part) for part in found}
    return sorted((part for part in found if first[part] >= 0), key=lambda part: first[part])


def _place(order: Sequence[str], part: str) -> int:
    """Return when a part or anything in it is called first; -1 for never."""
    return next((place for place, name in enumerate(order) if _within(name, part)), -1)


def _within(name: str, part: str) -> bool:
    return name == part or name.startswith(f"{part}.")


def _weights(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())
