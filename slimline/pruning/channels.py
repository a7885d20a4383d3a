"""Which channels of a network must be removed together, and their removal.

Every channel of every tensor gets a number, and the numbers are sent through the network's own
graph: a layer makes new ones, an addition declares two of them one and the same, and
concatenations, splits and shuffles simply move them. In the end each layer knows which numbers
stand at its input and output. That is exact for any topology.

To narrow a network, layers get new widths, and numbers are sent through it once more: the
network's own code says what the narrower layers are connected to. Then each new channel takes the
weights of the best old one that went the same way. So even channels that a unit splits and hands
on, as in ShuffleNetV2, can be removed.
"""

import copy
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torchvision.ops import stochastic_depth

from slimline.networks import tracing
from slimline.pruning import cost
from slimline.pruning.cost import Cost, LayerCost
from slimline.pruning.plan import Group

PrunableLayer = nn.Conv2d | nn.Linear | nn.BatchNorm2d

Scores = Mapping[str, tuple[Tensor, Tensor]]
"""How much each output and each input channel of a layer matters, by the layer's name; float64
[outputs] and [inputs], not negative. BatchNorm has outputs alone."""

_Operators = frozenset[Callable[..., Any] | str]

_JOINS: _Operators = frozenset(
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
_MEANS: _Operators = frozenset({torch.mean, "mean"})
_CATS: _Operators = frozenset({torch.cat, torch.concat})
_MOVES: _Operators = frozenset(
    {
        torch.split,
        torch.chunk,
        torch.transpose,
        torch.permute,
        torch.reshape,
        operator.getitem,
        "split",
        "chunk",
        "transpose",
        "permute",
        "reshape",
        "view",
    }
)
_KEEPS_PLACES: _Operators = frozenset({torch.flatten, "flatten", "contiguous", "size", getattr})
_CHANNELWISE: _Operators = frozenset(
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
        stochastic_depth,
        "relu",
    }
)


@dataclass(frozen=True)
class _Ports:
    """A layer with the channel numbers at its input and output; int64 [channels]."""

    layer: PrunableLayer
    inputs: Tensor
    outputs: Tensor

    @property
    def is_channelwise(self) -> bool:
        """Whether output channel i is made of input channel i alone."""
        return self.inputs is self.outputs

    @property
    def entries(self) -> int:
        """How many entries the weight of a layer of these widths has."""
        weight = self.layer.weight
        if self.is_channelwise:
            return len(self.outputs) * weight[0].numel()
        groups = getattr(self.layer, "groups", 1)
        return len(self.outputs) * (len(self.inputs) // groups) * weight[0, 0].numel()

    @property
    def params(self) -> int:
        """The same, biases included."""
        return self.entries + (len(self.outputs) if self.layer.bias is not None else 0)


@dataclass(frozen=True)
class _Flow:
    """Where all channels of a network go; those of the images have the first numbers."""

    num_inputs: int
    ports: Mapping[str, _Ports]
    """Layers by name, in order of the network."""
    made: Mapping[str, Tensor]
    """The numbers that a layer makes, by its name; int64 [width]."""
    families: Sequence[Sequence[str]]
    """Names of layers whose widths must stay equal, for those whose widths may change."""

    def homes(self) -> dict[int, tuple[str, ...]]:
        """Return for each number the names of all layers at which it stands."""
        homes: dict[int, list[str]] = defaultdict(list)
        for name, port in self.ports.items():
            for number in dict.fromkeys([*port.inputs.tolist(), *port.outputs.tolist()]):
                homes[number].append(name)
        return {number: tuple(names) for number, names in homes.items()}

    def importance(self, scores: Scores) -> dict[int, float]:
        """Return for each number its mean score over its layers, relative to their own means.

        Absolute scores cannot be compared between layers, since BatchNorm rescales them.
        """
        found: dict[int, list[float]] = defaultdict(list)
        for name, port in self.ports.items():
            rows, columns = scores[name]
            _note(found, port.outputs, rows)
            if not port.is_channelwise:
                is_new = ~torch.isin(port.inputs, port.outputs)
                _note(found, port.inputs, columns, where=is_new)
        return {number: sum(each) / len(each) for number, each in found.items()}


class ChannelPlan:
    """A plan whose parts are channels; the layers of a group make equally many.

    Importance is the score relative to a layer's mean, averaged over all layers at which a channel
    stands.
    """

    groups: Sequence[Group]
    """In order of the network."""

    def __init__(
        self, network: nn.Module, example: Tensor, scores: Scores, *, multiple: int
    ) -> None:
        """Follow the channels; `example` is an input, float32 [batch, channels, height, width].

        Raises:
            NotImplementedError: the network calls a function of which is not known what it does.
        """
        self.network, self._num_inputs = network, example.shape[1]
        self._flow = _follow(network, self._num_inputs)
        self._importance = self._flow.importance(scores)
        self._whole = cost.count(network, example)
        self.groups = [
            Group(family, self._importance_of(family), multiple) for family in self._flow.families
        ]

    def _importance_of(self, family: Sequence[str]) -> Tensor:
        made = [self._flow.made[name].tolist() for name in family]
        return torch.tensor(
            [[self._importance[number] for number in each] for each in made], dtype=torch.float64
        )

    def predict(self) -> Cost:
        """Return what the network would cost with the widths that the groups have now."""
        ports = self._narrow_flow().ports
        return Cost(
            params=sum(port.params for port in ports.values()),
            layers=[_narrowed(layer, ports[layer.name]) for layer in self._whole.layers],
        )

    @torch.no_grad()
    def apply(self) -> dict[str, Tensor]:
        """Make the network as narrow as its groups say, in place; the best channels stay.

        Returns for each layer the rows of its weights that stayed, int64 [width].
        """
        flow = self._narrow_flow()
        origin = _match(self._flow, flow, self._importance)
        stayed = {}
        for name, old in self._flow.ports.items():
            new = flow.ports[name]
            rows = _places(old.outputs, new.outputs, origin)
            columns = _places(old.inputs, new.inputs, origin)
            _select(old.layer, rows, columns)
            stayed[name] = rows
        return stayed

    def _narrow_flow(self) -> _Flow:
        """Return where channels go in a network of the new widths; what stays is not yet known."""
        for group in self.groups:
            for name in group.layers:
                _set_width(self._shell.get_submodule(name), group.width)
        return _follow(self._shell, self._num_inputs)

    @cached_property
    def _shell(self) -> nn.Module:
        """A copy whose widths may be set to and fro; it computes nothing."""
        return copy.deepcopy(self.network)


class _ChannelFlow(fx.Interpreter):
    """Runs a graph on channel numbers, [1, channels, 1, 1], instead of on images."""

    def __init__(self, network: nn.Module, graph: fx.Graph) -> None:
        super().__init__(network, graph=graph)
        self._numbers, self._makers = _Classes(), _Classes()
        self._maker_of: list[int] = []
        self._made: dict[int, str] = {}
        self._pinned: list[int] = []
        self._moved: set[int] = set()
        self._ports: dict[str, _Ports] = {}
        self._num_inputs = 0

    def result(self) -> _Flow:
        """Return what was found, when the graph has been run."""
        ports = {}
        for name, port in self._ports.items():
            outputs = self._numbers.roots(port.outputs)
            inputs = outputs if port.is_channelwise else self._numbers.roots(port.inputs)
            ports[name] = _Ports(port.layer, inputs, outputs)
        made = {name: ports[name].outputs for name in self._made.values()}
        pinned = {self._makers.root(maker) for maker in self._pinned}
        families: dict[int, list[str]] = defaultdict(list)
        for maker, name in self._made.items():
            if self._makers.root(maker) not in pinned:
                families[self._makers.root(maker)].append(name)
        of_equal_width = [
            names for names in families.values() if len({len(made[name]) for name in names}) == 1
        ]
        return _Flow(self._num_inputs, ports, made, of_equal_width)

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> Any:
        images = super().placeholder(target, args, kwargs)
        self._num_inputs = images.shape[1]
        return self._pin(self._new(self._num_inputs)).view(1, -1, 1, 1)

    def output(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self._pin(super().output(target, args, kwargs))

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:  # noqa: ARG002
        module, channels = self.fetch_attr(target), args[0]
        if not isinstance(module, PrunableLayer):
            return channels if not isinstance(module, nn.Flatten) else channels.flatten(1)
        inputs = channels.flatten()
        if isinstance(module, nn.BatchNorm2d) or _is_depthwise(module):
            outputs = inputs
        else:
            outputs = self._new(module.weight.shape[0])
            self._made[self._maker_of[-1]] = target
            if isinstance(module, nn.Conv2d) and module.groups > 1:
                self._pin(inputs)
                self._pin(outputs)
        self._ports[target] = _Ports(module, inputs, outputs)
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
        if target in _MEANS:
            keeps_places = kwargs.get("keepdim", len(args) > 2 and args[2])
            return args[0] if keeps_places else args[0].flatten(1)
        result = run(target, args, kwargs)
        if target in _CATS:
            self._tie(number for number in result.flatten().tolist() if number in self._moved)
        elif target in _MOVES and tensors:
            numbers = tensors[0].flatten().tolist()
            self._moved.update(numbers)
            self._tie(numbers)
        elif target not in _KEEPS_PLACES and tensors:
            raise NotImplementedError(f"pruning cannot follow channels through {target}")
        return result

    def _join(self, tensors: Sequence[Tensor]) -> Tensor:
        first = tensors[0]
        for other in tensors[1:]:
            for one, two in zip(first.flatten().tolist(), other.flatten().tolist(), strict=True):
                self._numbers.join(one, two)
                self._tie((one, two))
        return first

    def _tie(self, numbers: Iterable[int]) -> None:
        """Declare that the layers which made these numbers keep equal widths."""
        makers = list(dict.fromkeys(self._maker_of[number] for number in numbers))
        for maker in makers[1:]:
            self._makers.join(makers[0], maker)

    def _pin(self, numbers: Tensor) -> Tensor:
        self._pinned += [self._maker_of[number] for number in numbers.flatten().tolist()]
        return numbers

    def _new(self, count: int) -> Tensor:
        self._maker_of += self._makers.add(1).tolist() * count
        return self._numbers.add(count)


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

    def roots(self, numbers: Tensor) -> Tensor:
        """Return the roots of many numbers, in order."""
        return torch.tensor([self.root(number) for number in numbers.tolist()], dtype=torch.int64)


def _narrowed(layer: LayerCost, port: _Ports) -> LayerCost:
    """Return what a layer costs with other widths at as many positions."""
    return LayerCost(
        layer.name,
        inputs=len(port.inputs),
        channels=len(port.outputs),
        params=port.params,
        macs=layer.macs // layer.weights * port.entries,
        weights=port.entries,
        zeros=0,
    )


def _follow(network: nn.Module, num_inputs: int) -> _Flow:
    flow = _ChannelFlow(network, tracing.graph(network))
    flow.run(torch.zeros(1, num_inputs, 1, 1))
    return flow.result()


def _match(old: _Flow, new: _Flow, importance: Mapping[int, float]) -> dict[int, int]:
    """Return for every number of the narrow network the old one whose weights it takes.

    It is the most important one that the same layer made and that stood at the same layers. Where
    too few did, the best of the others follow: at a layer that did not read them they begin at 0.
    """
    old_homes, new_homes = old.homes(), new.homes()
    origin = {number: number for number in range(new.num_inputs)}
    for name, numbers in new.made.items():
        rest = list(dict.fromkeys(old.made[name].tolist()))
        wanted = list(dict.fromkeys(numbers.tolist()))
        waiting = []
        for home in dict.fromkeys(new_homes[number] for number in wanted):
            places = [number for number in wanted if new_homes[number] == home]
            chosen = [number for number in rest if old_homes[number] == home]
            chosen = _best(chosen, importance, len(places))
            origin.update(zip(places, chosen, strict=False))
            rest = [number for number in rest if number not in set(chosen)]
            waiting += places[len(chosen) :]
        origin.update(zip(waiting, _best(rest, importance, len(waiting)), strict=True))
    return origin


def _best(numbers: Sequence[int], importance: Mapping[int, float], count: int) -> list[int]:
    """Return the most important numbers, in the order in which they were given."""
    ranked = sorted(numbers, key=lambda number: -importance[number])
    return [number for number in numbers if number in set(ranked[:count])]


def _places(old: Tensor, new: Tensor, origin: Mapping[int, int]) -> Tensor:
    """Return where in `old` the origins of `new` stand, -1 for nowhere; int64 [new]."""
    place = {number: position for position, number in enumerate(old.tolist())}
    return torch.tensor([place.get(origin[number], -1) for number in new.tolist()])


def _note(
    found: dict[int, list[float]], numbers: Tensor, magnitude: Tensor, where: Tensor | None = None
) -> None:
    relative = magnitude / magnitude.mean().clamp_min(torch.finfo(magnitude.dtype).tiny)
    for position, number in enumerate(numbers.tolist()):
        if where is None or where[position]:
            found[number].append(float(relative[position]))


def _is_depthwise(module: nn.Module) -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and module.groups == module.in_channels == module.out_channels > 1
    )


def _set_width(layer: nn.Module, width: int) -> None:
    """Let a layer make so many channels, whatever they are; only the number is looked at."""
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    layer.weight = nn.Parameter(torch.empty(width, *layer.weight.shape[1:], device="meta"))
    if isinstance(layer, nn.Conv2d):
        layer.out_channels = width
    else:
        layer.out_features = width


def _select(layer: PrunableLayer, rows: Tensor, columns: Tensor) -> None:
    """Keep of a layer the given rows and columns of its weights; column -1 is new and 0.

    Row -1 is a channel that comes from elsewhere to a layer with a weight per channel: it begins
    with those of the last row.
    """
    weight = layer.weight[rows]
    if isinstance(layer, nn.BatchNorm2d):
        layer.num_features = len(rows)
        for name in ("running_mean", "running_var"):
            setattr(layer, name, getattr(layer, name)[rows])
    elif isinstance(layer, nn.Linear):
        layer.in_features, layer.out_features = len(columns), len(rows)
        weight = weight[:, columns] * (columns >= 0)
    else:
        layer.groups = len(rows) if _is_depthwise(layer) else layer.groups
        layer.in_channels, layer.out_channels = len(columns), len(rows)
        if layer.groups == 1:
            weight = weight[:, columns] * (columns >= 0).view(1, -1, 1, 1)
    layer.weight = nn.Parameter(weight.clone())
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias[rows].clone())
