"""What keeps layers as wide as they are, in words that lead a user to the line of code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import fx

_SYMBOLS = {
    "add": "+",
    "iadd": "+=",
    "sub": "-",
    "isub": "-=",
    "mul": "*",
    "imul": "*=",
    "truediv": "/",
    "floordiv": "//",
    "mod": "%",
    "pow": "**",
    "matmul": "@",
    "getitem": "[...]",
}
"""How Python writes functions of its module `operator`."""


@dataclass(frozen=True)
class Keeper:
    """What fixes the width of channels that it reads, or does with them what cannot be followed."""

    kind: str
    """A class of layers, or a function as code names it."""
    place: str
    """The layer, or the module whose `forward` calls the function; "" is the network itself."""


class TooNarrowError(Exception):
    """A network's own code does not take so few channels; `keeper` is where it does not."""

    def __init__(self, keeper: Keeper) -> None:
        super().__init__(f"{keeper.kind} at {keeper.place or 'the network'}")
        self.keeper = keeper


def of_node(node: fx.Node, network: nn.Module) -> Keeper:
    """Return what a user calls a node of the network's graph."""
    if node.op == "output":
        return Keeper("what the network answers", "")
    if node.op == "call_module":
        target = str(node.target)
        return Keeper(type(network.get_submodule(target)).__name__, target)
    name = node.target if isinstance(node.target, str) else node.target.__name__
    callers = [path for path in node.meta.get("nn_module_stack", {}) if path]
    return Keeper(_SYMBOLS.get(name, name), callers[-1] if callers else "")


def of_unfollowed(name: str, network: nn.Module) -> Keeper:
    """Return what has a weight that no layer has, or a layer of which nobody knows who reads it."""
    parent = name.rpartition(".")[0]
    found = dict(network.named_modules())
    module = found.get(name)
    if module is None or isinstance(module, nn.Conv2d | nn.Linear):
        return Keeper(type(found[parent]).__name__, parent)
    return Keeper(type(module).__name__, "")
