"""Widths that a module's code keeps as numbers, for `torch.split`: MixNet, SKNet.

Such a number stands in an attribute of the module (`self.splits`, `self.in_channels`), and the
same code needs another one there in a narrower network. Which attribute it is, is found by doubling
each; what is written into the code itself, as `torch.split(x, 16)`, cannot change.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import fx, nn

from slimline.errors import NetworkError
from slimline.networks import tracing
from slimline.pruning.followed_operators import SPLITS
from slimline.pruning.keepers import Keeper, TooNarrowError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slimline.networks.architecture import SplitWidths

_Numbers = int | tuple[int, ...]


@dataclass(frozen=True)
class SplitWidth:
    """A split of channels that an attribute of a module decides."""

    module: str
    """The module's name in the network."""
    attribute: str
    value: _Numbers
    """What stands in the attribute: widths of the parts, or a multiple or fraction of each."""
    parts: tuple[int, ...] = ()
    """How many channels each part has."""

    @property
    def unit(self) -> int:
        """What the number of channels must be a multiple of, to be split in as many parts."""
        is_even = len(set(self.parts)) == 1
        even = len(self.parts) if is_even else 1
        if isinstance(self.value, tuple):
            return even
        return math.lcm(even, sum(self.parts) // math.gcd(self.value, sum(self.parts)))

    def of(self, parts: tuple[int, ...]) -> SplitWidth | None:
        """Return it with its parts; None where they are not what the attribute can be set for."""
        found = replace(self, parts=parts)
        is_told = self.value == parts if isinstance(self.value, tuple) else len(set(parts)) == 1
        return found if is_told else None

    def fitted(self, total: int) -> SplitWidth:
        """Return the same split of another number of channels, each part with its share of them.

        Raises:
            ValueError: so many channels cannot be split like that.
        """
        if total % self.unit or total < len(self.parts):
            raise ValueError(f"{total} channels cannot be split as {self.parts} are")
        parts = _shares(self.parts, total)
        if isinstance(self.value, tuple):
            return replace(self, value=parts, parts=parts)
        return replace(self, value=self.value * total // sum(self.parts), parts=parts)

    def write(self, network: nn.Module) -> None:
        """Let the module split so from now on."""
        setattr(network.get_submodule(self.module), self.attribute, _stored(self.value))


def find(network: nn.Module, graph: fx.Graph) -> dict[str, SplitWidth]:
    """Return what attribute decides a split, by the name of its node; parts are not yet known."""
    found: dict[str, SplitWidth] = {}
    known: dict[str, list[str | None]] = {}
    seen: dict[str, int] = {}
    for node, name in _splits(graph):
        module = network.get_submodule(name)
        if name not in known:
            known[name] = _deciding(module)
        position = seen[name] = seen.get(name, -1) + 1
        attributes = known[name]
        attribute = attributes[position % len(attributes)] if attributes else None
        if attribute is not None:
            value = getattr(module, attribute)
            found[node.name] = SplitWidth(
                name, attribute, value if isinstance(value, int) else tuple(value)
            )
    return found


def collected(splits: Mapping[str, SplitWidth]) -> SplitWidths:
    """Return what a `model.json` says of splits: values by attribute, by module.

    Raises:
        TooNarrowError: an attribute would have to have two values.
    """
    found: dict[str, dict[str, int | list[int]]] = {}
    for split in splits.values():
        value = _stored(split.value)
        if found.setdefault(split.module, {}).setdefault(split.attribute, value) != value:
            raise TooNarrowError(Keeper(split.attribute, split.module))
    return found


def joined(*given: SplitWidths) -> dict[str, dict[str, int | list[int]]]:
    """Return what all of them say, attribute by attribute; the later ones hold."""
    found: dict[str, dict[str, int | list[int]]] = {}
    for each in given:
        for module, attributes in each.items():
            found.setdefault(module, {}).update(attributes)
    return found


def _deciding(module: nn.Module) -> list[str | None]:
    """Return for each split in a module's own code the attribute that decides it, if one does."""
    before, others = _literals(module), _others(module)
    found: list[str | None] = [None] * len(before)
    for attribute, value in list(vars(module).items()):
        if not _is_numbers(value):
            continue
        setattr(module, attribute, _doubled(value))
        try:
            after = _literals(module)
            is_for_splits = _others(module) == others
        finally:
            setattr(module, attribute, value)
        if not is_for_splits:
            continue
        for position, (one, two) in enumerate(zip(before, after, strict=False)):
            if one is not None and two == _doubled(one):
                found[position] = attribute
    return found


def _literals(module: nn.Module) -> list[Any]:
    """Return what each split in a module's own code is told, None where it follows from a shape."""
    try:
        graph = tracing.graph(module, with_whole_parts=True)
    except NetworkError:
        return []
    told = (
        node.args[1] if len(node.args) > 1 else next(iter(_sizes(node)), None)
        for node, name in _splits(graph)
        if not name
    )
    lists = [list(each) if isinstance(each, tuple | list) else each for each in told]
    return [each if _is_numbers(each) else None for each in lists]


def _others(module: nn.Module) -> list[Any]:
    """Return all that a module's own code does but for how it splits."""
    try:
        graph = tracing.graph(module, with_whole_parts=True)
    except NetworkError:
        return []
    return [
        (node.op, str(node.target), "" if node.target in SPLITS else str((node.args, node.kwargs)))
        for node in graph.nodes
    ]


def _sizes(node: fx.Node) -> list[Any]:
    return [value for key, value in node.kwargs.items() if key.startswith("split_size")]


def _splits(graph: fx.Graph) -> Iterator[tuple[fx.Node, str]]:
    """Yield the splits of a graph with the name of the module whose code has them."""
    for node in graph.nodes:
        if node.target in SPLITS:
            stack = list((node.meta.get("nn_module_stack") or {"": ("", None)}).values())
            yield node, stack[-1][0]


def _is_numbers(value: Any) -> bool:
    numbers = value if isinstance(value, list | tuple) and value else [value]
    return all(type(each) is int for each in numbers)


def _doubled(value: Any) -> Any:
    return value * 2 if isinstance(value, int) else [2 * each for each in value]


def _stored(value: _Numbers) -> int | list[int]:
    return value if isinstance(value, int) else list(value)


def _shares(parts: tuple[int, ...], total: int) -> tuple[int, ...]:
    """Return whole numbers in the ratio of `parts`, as near as can be, none 0; `total` in all."""
    exact = [each * total / sum(parts) for each in parts]
    shares = [1] * len(parts)
    for _ in range(total - sum(shares)):
        lacking = [wanted - share for wanted, share in zip(exact, shares, strict=True)]
        shares[lacking.index(max(lacking))] += 1
    return tuple(shares)
