"""The numbers of channels: which are one and the same, and which layers keep their ratio of widths.

A layer makes a number for each of its channels; what is declared of them afterwards says how it
can be narrowed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from math import gcd, lcm
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence


@dataclass(frozen=True)
class Family:
    """Layers whose widths must keep their ratio, for those whose widths may change."""

    names: Sequence[str]
    together: int
    """Parts that can only go together."""
    times: Sequence[int]
    """How many channels of each layer are one part: 1 where all widths are equal. Where a map is
    added to two halves that hold the same channels, as in GhostNet, it is 2 for its layer; and
    where one is split in eight, each of which meets another layer's, as in Res2Net, 8."""
    least: int = 1
    """Parts of which a split can be made as it is."""
    is_of_heads: bool = False
    """Whether the parts are heads of attention."""


class ChannelNumbers:
    """Numbers of channels, who made them, and what was declared of either."""

    def __init__(self) -> None:
        self._numbers, self._makers = _Classes(), _Classes()
        self._maker_of: list[int] = []
        self._layers: dict[int, str] = {}
        self._of_heads: set[int] = set()
        self._pinned: dict[int, str] = {}
        """Makers that stay as wide as they are, with what was the first to say so."""
        self.reader = ""
        """What declares something now: the name of a node."""
        self._blocks: list[tuple[int, int]] = []
        self._least: list[tuple[int, int]] = []

    def new(self, count: int, layer: str = "") -> Tensor:
        """Return numbers that stand nowhere yet, int64 [count], and note which layer made them."""
        (maker,) = self._makers.add(1).tolist()
        self._maker_of += [maker] * count
        if layer:
            self._layers[maker] = layer
        return self._numbers.add(count)

    def new_heads(self, count: int, layers: Sequence[str]) -> Tensor:
        """Return a number for each head that layers make, each layer many features of it."""
        made = [self.new(count, layer) for layer in layers]
        self._of_heads.update(self._maker_of[int(each[0])] for each in made)
        return self.join(made)

    def pin(self, numbers: Tensor) -> Tensor:
        """Declare that the layers which made these numbers stay as wide as they are."""
        for number in numbers.flatten().tolist():
            self._pinned.setdefault(self._maker_of[number], self.reader)
        return numbers

    def keepers(self) -> Mapping[str, str]:
        """Return for each layer that stays as wide as it is what was the first to say so.

        Of it, or else of one that it goes together with.
        """
        of_class: dict[int, str] = {}
        for maker, reader in self._pinned.items():
            of_class.setdefault(self._makers.root(maker), reader)
        return {
            name: self._pinned.get(maker, of_class[self._makers.root(maker)])
            for maker, name in self._layers.items()
            if self._makers.root(maker) in of_class
        }

    def are_tied(self, numbers: Tensor) -> bool:
        """Return whether the layers that made these numbers keep the ratio of their widths."""
        return len(self._roots_of_makers(numbers)) == 1

    def are_pinned(self, numbers: Tensor) -> bool:
        """Return whether all layers that made these numbers stay as wide as they are."""
        pinned = {self._makers.root(maker) for maker in self._pinned}
        return self._roots_of_makers(numbers) <= pinned

    def _roots_of_makers(self, numbers: Tensor) -> set[int]:
        makers = {self._maker_of[number] for number in numbers.flatten().tolist()}
        return {self._makers.root(maker) for maker in makers}

    def tie(self, numbers: Iterable[int]) -> None:
        """Declare that the layers which made these numbers keep equal widths."""
        makers = list(dict.fromkeys(self._maker_of[number] for number in numbers))
        for maker in makers[1:]:
            self._makers.join(makers[0], maker)

    def block(self, numbers: Sequence[int], unit: int, least: int) -> None:
        """Let the layers that made these numbers make a multiple of `unit` together.

        Each shall make `least` of them at least.
        """
        counts = Counter(self._maker_of[number] for number in numbers)
        is_even = len(set(counts.values())) == 1
        each = unit // gcd(unit, len(counts) if is_even else 1)
        self._blocks += [(maker, each) for maker in counts]
        self._least += [(maker, least) for maker in counts]

    def group(self, inputs: Tensor, width: int) -> None:
        """Declare that the inputs of each group of a convolution, `width` of them, go together."""
        groups = inputs.view(-1, width).tolist()
        for group in groups:
            for number in group[1:]:
                self._numbers.join(number, group[0])
                self.tie((group[0], number))
        self._blocks += [(maker, width) for maker in {self._maker_of[group[0]] for group in groups}]

    def join(self, tensors: Sequence[Tensor]) -> Tensor:
        """Declare the channels of maps the same, one by one; return them.

        Raises:
            ValueError: they are not as many, or each of one meets each of the other.
        """
        first = tensors[0]
        for other in tensors[1:]:
            if other.numel() != first.numel():
                return self._spread(first, other)
            if (first + other).numel() != first.numel():
                raise ValueError("every channel of one meets every channel of the other")
            pairs = list(zip(first.flatten().tolist(), other.flatten().tolist(), strict=True))
            for one, two in pairs:
                if one != two:
                    self._numbers.join(one, two)
            makers = ((self._maker_of[one], self._maker_of[two]) for one, two in pairs)
            for one, two in dict.fromkeys(makers):
                self._makers.join(one, two)
        return first

    def _spread(self, one: Tensor, two: Tensor) -> Tensor:
        """Return what is left when a map of one channel is spread over all: a spatial gate."""
        small, large = sorted((one, two), key=Tensor.numel)
        if small.numel() != 1:
            raise ValueError(f"{small.numel()} channels do not fit {large.numel()}")
        self.pin(small)
        return large

    def roots(self) -> Tensor:
        """Return for each number the one that stands for all that are the same, int64."""
        return self._numbers.roots()

    def makers(self) -> Sequence[str]:
        """Return the layers that made numbers, by name, in order."""
        return list(self._layers.values())

    def families(self, made: Mapping[str, Tensor]) -> Iterator[Family]:
        """Yield the layers that can be narrowed, those that only go together as one.

        `made` has the roots of the numbers that each layer makes.
        """
        pinned = {self._makers.root(maker) for maker in self._pinned}
        blocks: dict[str, int] = defaultdict(lambda: 1)
        for maker, size in self._blocks:
            layer = self._layers.get(maker, "")
            blocks[layer] = lcm(blocks[layer], size)
        least: dict[str, int] = defaultdict(lambda: 1)
        for maker, count in self._least:
            layer = self._layers.get(maker, "")
            least[layer] = max(least[layer], count)
        families: dict[int, list[str]] = defaultdict(list)
        for maker, name in self._layers.items():
            if self._makers.root(maker) not in pinned:
                families[self._makers.root(maker)].append(name)
        for root, names in families.items():
            numbers = [made[name] for name in names]
            if root in {self._makers.root(maker) for maker in self._of_heads}:
                times = [len(each) // len(set(each.tolist())) for each in numbers]
                family: Family | None = Family(names, 1, times, is_of_heads=True)
            else:
                sizes = [blocks[name] for name in names]
                family = _family(names, sizes, [least[name] for name in names], numbers)
            if family is not None:
                yield family


def _family(
    names: Sequence[str], blocks: Sequence[int], least: Sequence[int], made: Sequence[Tensor]
) -> Family | None:
    """Return layers that make these numbers as a family; None where they have no common part.

    There are as many parts as the layer with the fewest different numbers makes; one with n times
    as many has n channels in each. `blocks` are what each layer's width must be a multiple of, and
    `least` how wide each must be.
    """
    if len({len(each) for each in made}) == 1:
        together = lcm(*blocks, *map(_times_each, made))
        return Family(names, together, [1] * len(names), max(least))
    parts = min(len(set(each.tolist())) for each in made)
    if any(len(each) % parts or len(set(each.tolist())) % parts for each in made):
        return None
    times = [len(each) // parts for each in made]
    together = lcm(*(unit // gcd(unit, each) for unit, each in zip(blocks, times, strict=True)))
    return Family(
        names,
        together,
        times,
        max(-(-count // each) for count, each in zip(least, times, strict=True)),
    )


def _times_each(numbers: Tensor) -> int:
    """Return how often each different number stands among these; 1 where not equally often."""
    counts = set(Counter(numbers.tolist()).values())
    return counts.pop() if len(counts) == 1 else 1


class _Classes:
    """Numbers of which some are declared the same (union-find)."""

    def __init__(self) -> None:
        self._parent: list[int] = []

    def add(self, count: int) -> Tensor:
        """Return `count` new numbers, int64 [count]."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return torch.arange(start, start + count)

    def join(self, one: int, two: int) -> None:
        """Declare two numbers to be the same."""
        self._parent[self.root(one)] = self.root(two)

    def root(self, number: int) -> int:
        """Return the number that stands for all of its class."""
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number

    def roots(self) -> Tensor:
        """Return the root of every number, int64 [numbers]."""
        return torch.tensor([self.root(each) for each in range(len(self._parent))])
