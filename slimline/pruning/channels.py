"""Which channels of a network must be removed together, and their removal.

Every channel of every tensor gets a number, and the numbers are sent through the network's own
graph: a convolution makes new ones, an addition declares two of them one and the same, and
concatenations, splits and shuffles simply move them. In the end each layer knows which numbers
stand at its input and output. That is exact for any topology, ShuffleNet's included; channels
whose place matters to the code (those that are split or shuffled) are pinned.
"""

import operator
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from slimline.core import classifier

Layer = nn.Conv2d | nn.Linear | nn.BatchNorm2d

_JOINS: frozenset[Callable[..., Any] | str] = frozenset(
    {
        operator.add,
        operator.iadd,
        operator.mul,
        operator.imul,
        torch.add,
        torch.mul,
        "add",
        "add_",
        "mul",
        "mul_",
    }
)
_KEEPS_PLACES: frozenset[Callable[..., Any] | str] = frozenset(
    {torch.cat, torch.concat, torch.flatten, "flatten", "contiguous", "size", getattr}
)
_CHANNELWISE: frozenset[Callable[..., Any] | str] = frozenset(
    {
        torch.relu,
        functional.relu,
        functional.relu6,
        functional.hardswish,
        functional.hardsigmoid,
        functional.dropout,
        functional.adaptive_avg_pool2d,
        functional.avg_pool2d,
        functional.max_pool2d,
        "relu",
    }
)


@dataclass(frozen=True)
class _Ports:
    """A layer with the channel numbers at its input and output; int64 [channels]."""

    layer: Layer
    inputs: Tensor
    outputs: Tensor

    @property
    def is_channelwise(self) -> bool:
        """Whether output channel i is made of input channel i alone."""
        return self.inputs is self.outputs


@dataclass
class Group:
    """Channels that live in the same layers: rows of it can be removed one by one.

    `rows` is int64 [channels]: the number of each channel.
    """

    rows: Tensor
    ports: Sequence[_Ports]
    kept: Tensor = field(default_factory=lambda: torch.empty(0))

    def importance(self) -> Tensor:
        """Return float [channels]: the mean over layers of magnitude relative to the layer's mean.

        Absolute magnitudes cannot be compared between layers, since BatchNorm rescales them.
        """
        return torch.stack([_relative_magnitude(port, self.rows) for port in self.ports]).mean(0)

    def keep(self, kept: Tensor) -> None:
        """Choose the channels that stay; bool [channels]."""
        self.kept = kept


def find_groups(network: nn.Module, example: Tensor) -> list[Group]:
    """Return the groups of channels that can be removed, in order of the network."""
    flow = _ChannelFlow(classifier.trace(network))
    flow.run(torch.zeros(1, example.shape[1], 1, 1))
    return flow.groups()


@torch.no_grad()
def remove(groups: Sequence[Group]) -> None:
    """Cut the channels that are not kept out of every layer, in place."""
    removed = torch.cat(
        [torch.zeros(0, dtype=torch.int64), *(each.rows[~each.kept] for each in groups)]
    )
    layers = {id(port.layer): port for group in groups for port in group.ports}
    for port in layers.values():
        stays_in, stays_out = (~torch.isin(ids, removed) for ids in (port.inputs, port.outputs))
        _cut(port.layer, stays_in, stays_out)


class _ChannelFlow(fx.Interpreter):
    """Runs a graph on channel numbers, [1, channels, 1, 1], instead of on images."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self._parent: list[int] = []
        self._pinned: list[Tensor] = []
        self._ports: list[_Ports] = []

    def groups(self) -> list[Group]:
        """Return what can be pruned: channels by the set of layers that they live in."""
        root = torch.tensor([self._find(number) for number in range(len(self._parent))])
        pinned = set(root[torch.cat(self._pinned).flatten()].tolist())
        ports = [
            _Ports(
                port.layer,
                ids := root[port.inputs],
                ids if port.is_channelwise else root[port.outputs],
            )
            for port in self._ports
        ]
        homes: dict[int, list[int]] = defaultdict(list)
        for position, port in enumerate(ports):
            for number in {*port.inputs.tolist(), *port.outputs.tolist()} - pinned:
                homes[number].append(position)
        rows: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for number in sorted(homes):
            rows[tuple(homes[number])].append(number)
        return [
            Group(torch.tensor(numbers), [ports[position] for position in home])
            for home, numbers in rows.items()
        ]

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> Any:
        images = super().placeholder(target, args, kwargs)
        return self._pin(self._new(images.shape[1]).view(1, -1, 1, 1))

    def output(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self._pin(super().output(target, args, kwargs))

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG002
        module, channels = self.fetch_attr(target), args[0]
        if not isinstance(module, Layer):
            return channels if not isinstance(module, nn.Flatten) else channels.flatten(1)
        inputs = channels.flatten()
        if isinstance(module, nn.BatchNorm2d) or _is_depthwise(module):
            outputs = inputs
        elif isinstance(module, nn.Conv2d) and module.groups > 1:
            outputs = self._pin(self._new(module.out_channels))
            self._pin(inputs)
        else:
            outputs = self._new(module.weight.shape[0])
        self._ports.append(_Ports(module, inputs, outputs))
        return outputs.view(1, -1, *channels.shape[2:])

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self._move(target, args, kwargs, super().call_function)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self._move(target, args, kwargs, super().call_method)

    def _move(self, target: Any, args: Any, kwargs: Any, run: Callable[..., Any]) -> Any:
        tensors = [each for each in args if isinstance(each, Tensor)]
        if target in _JOINS and tensors:
            return self._join(tensors)
        if target in _CHANNELWISE:
            return args[0]
        if target in {torch.mean, "mean"}:
            keeps_places = kwargs.get("keepdim", len(args) > 2 and args[2])
            return args[0] if keeps_places else args[0].flatten(1)
        moved = run(target, args, kwargs)
        if target not in _KEEPS_PLACES:
            for part in moved if isinstance(moved, tuple | list) else [moved]:
                if isinstance(part, Tensor):
                    self._pin(part)
        return moved

    def _join(self, tensors: Sequence[Tensor]) -> Tensor:
        first = tensors[0]
        for other in tensors[1:]:
            for one, two in zip(first.flatten().tolist(), other.flatten().tolist(), strict=True):
                self._parent[self._find(one)] = self._find(two)
        return first

    def _new(self, count: int) -> Tensor:
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return torch.arange(start, start + count)

    def _find(self, number: int) -> int:
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number

    def _pin(self, numbers: Tensor) -> Tensor:
        self._pinned.append(numbers.flatten())
        return numbers


def _is_depthwise(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and module.groups == module.in_channels == module.out_channels > 1
    )


def _relative_magnitude(port: _Ports, rows: Tensor) -> Tensor:
    weight = port.layer.weight.detach()
    if torch.isin(rows, port.outputs).all():
        magnitude, ids = (
            weight.flatten(1).norm(dim=1) if weight.dim() > 1 else weight.abs(),
            port.outputs,
        )
    else:
        magnitude, ids = weight.transpose(0, 1).flatten(1).norm(dim=1), port.inputs
    place = {number: position for position, number in enumerate(ids.tolist())}
    chosen = magnitude[[place[number] for number in rows.tolist()]]
    return chosen / magnitude.mean().clamp_min(torch.finfo(magnitude.dtype).tiny)


def _cut(layer: Layer, stays_in: Tensor, stays_out: Tensor) -> None:
    if isinstance(layer, nn.BatchNorm2d):
        layer.num_features = int(stays_out.sum())
        for name in ("running_mean", "running_var"):
            setattr(layer, name, getattr(layer, name)[stays_out])
    elif isinstance(layer, nn.Linear):
        layer.in_features, layer.out_features = int(stays_in.sum()), int(stays_out.sum())
    else:
        layer.in_channels, layer.out_channels = int(stays_in.sum()), int(stays_out.sum())
        layer.groups = layer.out_channels if layer.groups > 1 else 1
    weight = layer.weight[stays_out]
    if weight.dim() > 1 and weight.shape[1] == len(stays_in) > 1:
        weight = weight[:, stays_in]
    layer.weight = nn.Parameter(weight.clone())
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias[stays_out].clone())
