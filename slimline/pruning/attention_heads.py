"""Heads of attention, found by trial: a module that counts its heads may do with fewer.

A head without its rows in the layers that make queries, keys and values, and without its columns in
the layer that reads what the heads found, leaves the others as they were: the narrower module
answers as the whole one whose head gives 0. Which features of which layer are a head's, and which
numbers of the module's own code say how many there are, is tried on a copy with weights of chance.
What computes the size of a head from the width of its input (`C // num_heads`) fails there, and
stays whole.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from slimline import attention_biases
from slimline.networks.evaluation import evaluating

_Layer = nn.Conv2d | nn.Linear
_Call = tuple[tuple[Any, ...], dict[str, Any]]

_MOST_LAYERS = 6
_MOST_TRIALS = 40
"""With what runs and answers otherwise; one takes milliseconds of a small module."""
_OUTER = (1, 2, 3)
"""Queries, keys and values of one layer may stand one after another."""
_CLOSE = 1e-4
_DIFFERS = 1e-2
"""Of what a module answers: so much must hang on the heads that are tried."""


@dataclass(frozen=True)
class Layout:
    """How the features of a layer belong to heads: `outer` times all heads, `inner` of each."""

    outer: int
    inner: int

    @property
    def per_head(self) -> int:
        """How many features a head has."""
        return self.outer * self.inner

    def heads(self, count: int) -> Tensor:
        """Return the head of each feature of so many heads, int64 [features]."""
        return torch.arange(count).repeat_interleave(self.inner).repeat(self.outer)


@dataclass(frozen=True)
class AttentionHeads:
    """How a module that attends loses heads."""

    count: int
    makers: Mapping[str, Layout]
    """The layers that read what the module is given, by name within it."""
    reader: str
    """The layer that gives the module's answer."""
    read: Layout
    numbers: Mapping[tuple[str, str], int]
    """What grows with the heads: attributes and their values, by module within and name."""
    tensors: Mapping[tuple[str, str], int]
    """The dimension of heads of each tensor that has one, by module within and name."""
    num_answers: int = 0
    """How many things the module returns, of which the first is its answer; 0 where that is all."""

    def narrow(self, module: nn.Module, kept: Tensor) -> None:
        """Let a module have but these heads, int64 [heads], its layers apart."""
        for (part, name), value in self.numbers_of(len(kept)).items():
            setattr(module.get_submodule(part), name, value)
        for (part, name), dimension in self.tensors.items():
            owner = module.get_submodule(part)
            old = getattr(owner, name)
            new = old.detach().index_select(dimension, kept).clone()
            is_weight = isinstance(old, nn.Parameter)
            setattr(owner, name, nn.Parameter(new, old.requires_grad) if is_weight else new)

    def numbers_of(self, count: int) -> dict[tuple[str, str], int]:
        """Return the attributes of a module with so many heads."""
        return {key: value * count // self.count for key, value in self.numbers.items()}

    def weights_per_head(self, module: nn.Module) -> int:
        """Return how many parameters a head has outside of layers."""
        found = (getattr(module.get_submodule(part), name) for part, name in self.tensors)
        return sum(each.numel() // self.count for each in found if isinstance(each, nn.Parameter))


AttentionModules = Mapping[str, AttentionHeads]
"""By the names of modules."""


@torch.no_grad()
def find(network: nn.Module, example: Tensor | None) -> dict[str, AttentionHeads]:
    """Return the modules of a network that can lose heads, by name; none without an example.

    `example` is an input of the network, float32 [batch, channels, height, width].
    """
    if example is None:
        return {}
    calls = _calls(network, example)
    known: dict[str, AttentionHeads | None] = {}
    found: dict[str, AttentionHeads] = {}
    for name, call in sorted(calls.items(), key=lambda each: each[0].count(".")):
        module = network.get_submodule(name)
        if any(name.startswith(f"{each}.") for each in found) or _shares(network, module):
            continue
        alike = f"{module}{_plain_values(module)}{_pattern(call)}"
        if alike not in known:
            with attention_biases.computed_anew(module):
                known[alike] = _tried(module, call)
        heads = known[alike]
        if heads is not None:
            found[name] = heads
    return found


def _calls(network: nn.Module, example: Tensor) -> dict[str, _Call]:
    """Return what each module that counts heads is given, by name, where it is always the same."""
    calls: dict[str, list[_Call]] = {
        name: [] for name, module in network.named_modules() if name and _counts(module)
    }
    if not calls:
        return {}

    def note(name: str, call: _Call) -> None:
        calls[name].append(call)

    hooks = [
        network.get_submodule(name).register_forward_pre_hook(
            lambda _, args, kwargs, name=name: note(name, (args, kwargs)),
            with_kwargs=True,
        )
        for name in calls
    ]
    try:
        with evaluating(network), attention_biases.computed_anew(network):
            network(example)
    finally:
        for hook in hooks:
            hook.remove()
    return {
        name: each[0]
        for name, each in calls.items()
        if each and each[0][0] and _is_map(each[0][0][0]) and len(set(map(_pattern, each))) == 1
    }


def _pattern(call: _Call) -> str:
    """Return what a call is like: shapes, which of them is the first map again, other values."""
    first = call[0][0] if call[0] else None
    given = [("", each) for each in call[0]] + list(call[1].items())
    return str([
        (name, each is first, tuple(each.shape) if isinstance(each, Tensor) else each)
        for name, each in given
    ])  # fmt: skip


def _plain_values(module: nn.Module) -> str:
    """Return all that decides what a module does but for its weights' values."""
    plain = (int, float, bool, str, type(None), tuple)
    values = [
        (part, id(type(each)), [(k, v) for k, v in vars(each).items() if isinstance(v, plain)])
        for part, each in module.named_modules()
    ]
    return str((values, [each.shape for each in module.parameters()]))


def _shares(network: nn.Module, module: nn.Module) -> bool:
    """Return whether somebody else has a weight of a module, which has to keep its shape."""
    named = network.named_modules(remove_duplicate=False)
    times = sum(each is module for _, each in named)
    everywhere, here = (
        Counter(id(weight) for _, weight in each.named_parameters(remove_duplicate=False))
        for each in (network, module)
    )
    return any(everywhere[each] != times * count for each, count in here.items())


def _is_map(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _counts(module: nn.Module) -> list[str]:
    """Return the attributes that may say how many heads a module has."""
    return [
        name
        for name, value in vars(module).items()
        if _is_count(name) and type(value) is int and value > 1
    ]


def _is_count(attribute: str) -> bool:
    return "head" in attribute and "dim" not in attribute


def _whole_numbers(module: nn.Module) -> dict[tuple[str, str], int]:
    """Return all whole numbers that a module and what is in it keep."""
    return {
        (part, name): value
        for part, each in module.named_modules()
        for name, value in vars(each).items()
        if type(value) is int and not isinstance(each, _Layer)
    }


def _tried(module: nn.Module, call: _Call) -> AttentionHeads | None:
    """Return how a module loses heads; None where it does not."""
    layers = {name: each for name, each in module.named_modules() if isinstance(each, _Layer)}
    is_plain = all(getattr(each, "groups", 1) == 1 for each in layers.values())
    if not is_plain or not 1 < len(layers) <= _MOST_LAYERS:
        return None
    trial = _Trial(module, call)
    reader = trial.reader(layers)
    if reader is None:
        return None
    makers = [name for name in layers if name != reader]
    for count in dict.fromkeys(getattr(module, name) for name in _counts(module)):
        widths = [len(layers[name].weight) for name in makers]
        read = layers[reader].weight.shape[1]
        if any(width % count for width in [*widths, read]):
            continue
        for numbers, tensors in product(_numbers(module, count), _tensors(module, count)):
            layouts = [_layouts(width // count) for width in [*widths, read]]
            for *made, reading in product(*layouts):
                heads = AttentionHeads(
                    count, dict(zip(makers, made, strict=True)), reader, reading, numbers, tensors,
                    trial.num_answers,
                )  # fmt: skip
                answers = trial.holds(heads)
                if answers:
                    return heads
                if answers is None:  # nor would it run with another layout
                    break
                if trial.count >= _MOST_TRIALS:
                    return None
    return None


def _layouts(per_head: int) -> list[Layout]:
    """Return the layouts of a layer with so many features of each head, the commonest first."""
    outer = [each for each in dict.fromkeys((*_OUTER, per_head)) if per_head % each == 0]
    return [Layout(each, per_head // each) for each in outer]


def _numbers(module: nn.Module, count: int) -> Iterator[dict[tuple[str, str], int]]:
    """Yield attributes that may be all that grows with the heads."""
    numbers = _whole_numbers(module)
    counts = {key: value for key, value in numbers.items() if value == count and _is_count(key[1])}
    own = {key: value for key, value in counts.items() if not key[0]}
    rest = {key: value for key, value in numbers.items() if value > count and value % count == 0}
    singles = [{key: value} for key, value in rest.items()]
    for first in [own] if own == counts else [own, counts]:
        for others in [{}, *singles, *([rest] if len(rest) > 1 else [])]:
            yield {**first, **others}


def _tensors(module: nn.Module, count: int) -> list[dict[tuple[str, str], int]]:
    """Return tensors that may go by head, with the dimension: the last of this size, or the first.

    None of them goes by head where the size is one by chance. What no file keeps cannot.
    """
    found: list[dict[tuple[str, str], int]] = [{}, {}, {}]
    for part, owner in module.named_modules():
        own = [*owner.named_parameters(recurse=False), *owner.named_buffers(recurse=False)]
        for name, tensor in own:
            places = [place for place, size in enumerate(tensor.shape) if size == count]
            is_kept = name not in owner._non_persistent_buffers_set
            if places and is_kept and tensor.is_floating_point() and not isinstance(owner, _Layer):
                found[0][part, name], found[1][part, name] = places[-1], places[0]
    return [each for place, each in enumerate(found) if each not in found[:place]]


class _Trial:
    """A copy of a module with weights of chance, and what it is given."""

    def __init__(self, module: nn.Module, call: _Call) -> None:
        chances = torch.Generator().manual_seed(0)
        self.count = 0
        self._module = copy.deepcopy(module).cpu().float()
        self._module.eval()
        for part in self._module.modules():
            for weight in part.parameters(recurse=False):
                spread = weight[0].numel() ** -0.5 if isinstance(part, _Layer) else 1.0
                middle = 0.0 if isinstance(part, _Layer) else 1.0
                weight.copy_(middle + spread * torch.randn(weight.shape, generator=chances))
        first, given = call[0][0], torch.randn(call[0][0].shape, generator=chances)
        self._given = [given if each is first else each for each in call[0]]
        self._named = {key: given if each is first else each for key, each in call[1].items()}
        self._whole = self._answer(self._module)
        answers = self._run(self._module)
        self.num_answers = len(answers) if isinstance(answers, tuple) else 0

    def _run(self, module: nn.Module) -> Any:
        """Return what a module answers; None where it fails."""
        try:
            return module(*self._given, **self._named)
        # Anybody's code, which may refuse what it was not made for in any way that it likes.
        except Exception:
            return None

    def _answer(self, module: nn.Module) -> Tensor | None:
        """Return the map that a module answers with, or the first of several; None for another."""
        found = self._run(module)
        answer = found[0] if isinstance(found, tuple) and found else found
        return answer if isinstance(answer, Tensor) else None

    def reader(self, layers: Mapping[str, _Layer]) -> str | None:
        """Return the layer that gives the answer, if all others read what the module is given."""
        read: dict[str, list[Tensor]] = {name: [] for name in layers}
        gave: dict[str, Tensor] = {}

        def note(name: str, given: tuple[Tensor], made: Tensor) -> None:
            read[name].append(given[0])
            gave[name] = made

        hooks = [
            self._module.get_submodule(name).register_forward_hook(
                lambda _, given, made, name=name: note(name, given, made)
            )
            for name in layers
        ]
        answer = self._answer(self._module)
        for hook in hooks:
            hook.remove()
        if answer is None or any(len(each) != 1 for each in read.values()):
            return None
        readers = [name for name in layers if torch.equal(gave[name], answer)]
        others = [name for name in layers if name not in readers]
        reads_input = all(torch.equal(read[name][0], self._given[0]) for name in others)
        return readers[0] if len(readers) == 1 and reads_input else None

    def holds(self, heads: AttentionHeads) -> bool | None:
        """Return whether fewer heads answer as if the others gave 0; None where they do not run."""
        self.count += 1
        every = torch.arange(heads.count)
        for kept in (every[1::2], every[1:]):
            narrow = copy.deepcopy(self._module)
            narrow_layers(narrow, heads, kept)
            heads.narrow(narrow, kept)
            after = self._answer(narrow)
            if after is None:
                return None
            before = self._answer(self._without(heads, kept))
            if before is None or self._whole is None or before.shape != after.shape:
                return False
            size = before.abs().max()
            is_exact = (after - before).abs().max() <= _CLOSE * size
            has_effect = (self._whole - before).abs().max() >= _DIFFERS * size
            if not (is_exact and has_effect):
                return False
        return True

    def _without(self, heads: AttentionHeads, kept: Tensor) -> nn.Module:
        """Return a copy in which nobody reads what the other heads found."""
        module = copy.deepcopy(self._module)
        stays = torch.isin(heads.read.heads(heads.count), kept)
        weight = _layer(module, heads.reader).weight
        weight.copy_(weight * stays.view(1, -1, *[1] * (weight.dim() - 2)))
        return module


def narrow_layers(module: nn.Module, heads: AttentionHeads, kept: Tensor) -> None:
    """Leave the layers of a module but the rows and columns of these heads."""
    for name, layout in heads.makers.items():
        layer = _layer(module, name)
        rows = torch.isin(layout.heads(heads.count), kept)
        for key, weight in list(layer.named_parameters(recurse=False)):
            setattr(layer, key, nn.Parameter(weight[rows].clone(), weight.requires_grad))
    columns = torch.isin(heads.read.heads(heads.count), kept)
    reader = _layer(module, heads.reader)
    reader.weight = nn.Parameter(reader.weight[:, columns].clone())


def _layer(module: nn.Module, name: str) -> _Layer:
    layer = module.get_submodule(name)
    assert isinstance(layer, _Layer)
    return layer
