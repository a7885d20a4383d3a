"""Which channels can only go together: a network, run on the numbers of its channels.

Every channel of every tensor gets a number, and the numbers are sent through the network's own
graph: a layer makes new ones, an addition declares two of them one and the same, and
concatenations, splits and shuffles simply move them. In the end each layer knows which numbers
stand at its input and output. That is exact for any topology.

What becomes of channels in a function that is not known here, as in attention, is opaque: the
layers that it reads stay whole, and so do those that read what it returns as they did before.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from math import gcd, inf, lcm, prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from slimline.errors import NetworkError
from slimline.networks import tracing
from slimline.pruning import channel_modules, split_widths
from slimline.pruning import followed_operators as operators
from slimline.pruning.channel_modules import ChannelModules
from slimline.pruning.split_widths import SplitWidth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

PrunableLayer = nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d | nn.PReLU
"""What has weights that may be cut."""

Normalisation = nn.BatchNorm1d | nn.BatchNorm2d
"""What has statistics as well."""


@dataclass(frozen=True)
class Ports:
    """A layer with the channel numbers at its input and output; int64 [channels].

    A number stands several times where several channels can only go together.
    """

    layer: PrunableLayer | nn.Module
    """The second where it is one of `Flow.modules`."""
    inputs: Tensor
    outputs: Tensor

    @property
    def is_channelwise(self) -> bool:
        """Whether the layer makes no numbers of its own: its outputs are those of its inputs."""
        return is_channelwise(self.layer)

    @property
    def entries(self) -> int:
        """How many entries the weight of a layer of these widths has."""
        if not isinstance(self.layer, PrunableLayer):
            return len(self.outputs) * len(list(self.layer.parameters()))
        weight: Tensor | None = self.layer.weight
        if weight is None:  # BatchNorm without an affine part
            return 0
        if self.is_channelwise:
            return (len(self.outputs) if len(weight) > 1 else 1) * weight[0].numel()
        return len(self.outputs) * len(self.inputs) * weight[0, 0].numel()

    @property
    def params(self) -> int:
        """The same, biases included."""
        layer = self.layer
        has_bias = isinstance(layer, PrunableLayer) and getattr(layer, "bias", None) is not None
        return self.entries + (len(self.outputs) if has_bias else 0)


@dataclass(frozen=True)
class Family:
    """Layers whose widths must keep their ratio, for those whose widths may change."""

    names: Sequence[str]
    together: int
    """Channels that can only go together, of layers of equal width."""
    times: Sequence[int]
    """How many channels of each layer are one part: 1 where all widths are equal. Where a map is
    added to two halves that hold the same channels, as in GhostNet, it is 2 for its layer."""


@dataclass(frozen=True)
class Flow:
    """Where all channels of a network go; those of the images have the first numbers."""

    num_inputs: int
    ports: Mapping[str, Ports]
    """Layers by name, in order of the network."""
    made: Mapping[str, Tensor]
    """The numbers that a layer makes, by its name; int64 [width]."""
    lost: Mapping[str, Tensor]
    """The numbers of what a layer reads that cannot be followed, by its name; int64 [width]."""
    families: Sequence[Family]
    """Layers that can only be narrowed together."""
    opaque: frozenset[str]
    """Nodes of the graph whose result cannot be followed."""
    repeats: Mapping[str, int]
    """How many inputs of a linear layer belong to one channel, where maps were flattened."""
    splits: Mapping[str, SplitWidth]
    """Splits into widths that an attribute of their module decides, by the name of their node."""
    paths: Mapping[str, Sequence[int]]
    """How many maps of the same channels a sum or a softmax goes over, by the name of its node."""

    passed: Mapping[str, Tensor]
    """The numbers that any other node returns, by its name."""
    decided: fx.Graph | None
    """What calls what in a network that decides by the shape of its images, for such as it got."""
    modules: ChannelModules
    """Modules of others among the layers, each with how it is narrowed."""

    def homes(self) -> dict[int, tuple[str, ...]]:
        """Return for each number the names of all layers at which it stands."""
        homes: dict[int, list[str]] = defaultdict(list)
        for name, port in self.ports.items():
            for number in dict.fromkeys([*port.inputs.tolist(), *port.outputs.tolist()]):
                homes[number].append(name)
        for name, numbers in self.passed.items():
            for number in set(numbers.tolist()):
                homes[number].append(f"%{name}")
        return {number: tuple(names) for number, names in homes.items()}


def follow(
    network: nn.Module,
    num_inputs: int,
    *,
    like: Flow | None = None,
    example: Tensor | None = None,
) -> Flow:
    """Return where the channels of a network go that takes images of `num_inputs` channels.

    `like` is the flow of the same network when it was wider: what could be followed there must be
    followed here. A network may decide by the shape of its images: `example` are some.

    Raises:
        TracingError: what the network calls depends on its input, so that it has no graph.
        RuntimeError, ValueError, IndexError: the network cannot be as narrow as this.
    """
    modules = channel_modules.find(network) if like is None else like.modules
    decided = _decided(network, frozenset(modules), example) if like is None else like.decided
    graph = decided
    if graph is None:
        graph = tracing.graph(network, with_whole_parts=True, whole=frozenset(modules))
    flow = _ChannelFlow(network, graph, modules, like)
    flow.run(torch.zeros(1, num_inputs, 1, 1))
    return replace(flow.result(), decided=decided)


def _decided(network: nn.Module, whole: frozenset[str], example: Tensor | None) -> fx.Graph | None:
    """Return what calls what for an example; None where it is the same for all, or not known."""
    if example is None:
        return None
    try:
        tracing.graph(network, whole=whole)
    except NetworkError:
        return tracing.graph_decided_by(example, network, whole=whole)
    return None


def is_channelwise(layer: nn.Module) -> bool:
    """Return whether a layer's outputs are the channels of its inputs, or stand for them."""
    return not isinstance(layer, nn.Linear | nn.Conv2d) or getattr(layer, "groups", 1) > 1


class _Opaque:
    """What cannot be followed."""


class _Constant(_Opaque):
    """A weight of the network that no layer has, or what is made of such, or of nothing."""

    def __init__(self, is_scalar: bool) -> None:
        self.is_scalar = is_scalar


_OPAQUE = _Opaque()


class _ChannelFlow(fx.Interpreter):
    """Runs a graph on channel numbers, [1, channels, 1, 1], instead of on images."""

    def __init__(
        self, network: nn.Module, graph: fx.Graph, modules: ChannelModules, like: Flow | None
    ) -> None:
        super().__init__(network, graph=graph)
        self._like = like
        self._modules = modules
        self._fixed = split_widths.find(network, graph) if like is None else like.splits
        self._splits: dict[str, SplitWidth] = {}
        self._paths: dict[str, list[int]] = {}
        self._passed: dict[str, Tensor] = {}
        self._numbers, self._makers = _Classes(), _Classes()
        self._maker_of: list[int] = []
        self._made: dict[int, str] = {}
        self._lost: dict[str, Tensor] = {}
        self._pinned: list[int] = []
        self._blocks: list[tuple[int, int]] = []
        self._moved: set[int] = set()
        self._by_place: set[int] = set()
        self._by_channel: set[int] = set()
        self._joined_flat: set[int] = set()
        self._ports: dict[str, Ports] = {}
        self._repeats: dict[str, int] = {}
        self._opaque: set[str] = set()
        self._node = ""
        self._num_inputs = 0

    def result(self) -> Flow:
        """Return what was found, when the graph has been run."""
        roots = self._numbers.roots()
        ports = {
            name: Ports(port.layer, roots[port.inputs], roots[port.outputs])
            for name, port in self._ports.items()
        }
        made = {name: ports[name].outputs for name in self._made.values()}
        pinned = {self._makers.root(maker) for maker in self._pinned}
        blocks: dict[int, int] = defaultdict(lambda: 1)
        for maker, size in self._blocks:
            root = self._makers.root(maker)
            blocks[root] = lcm(blocks[root], size)
        families: dict[int, list[str]] = defaultdict(list)
        for maker, name in self._made.items():
            if self._makers.root(maker) not in pinned:
                families[self._makers.root(maker)].append(name)
        found = (
            _family(names, blocks[root], [made[name] for name in names])
            for root, names in families.items()
        )
        return Flow(
            self._num_inputs,
            ports,
            made,
            {name: roots[numbers] for name, numbers in self._lost.items()},
            [family for family in found if family is not None],
            frozenset(self._opaque),
            self._repeats,
            self._splits,
            self._paths,
            {name: roots[numbers] for name, numbers in self._passed.items()},
            None,
            self._modules,
        )

    def run_node(self, n: fx.Node) -> Any:
        self._node = n.name
        result = super().run_node(n)
        if isinstance(result, Tensor) and n.target not in operators.MOVES | operators.CATS:
            self._passed[n.name] = result.flatten()
        return result

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> Any:
        images = super().placeholder(target, args, kwargs)
        if not isinstance(images, Tensor):
            return images
        self._num_inputs = images.shape[1]
        return self._pin(self._new(self._num_inputs)).view(1, -1, 1, 1)

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        found = super().get_attr(target, args, kwargs)
        return _Constant(found.numel() == 1) if isinstance(found, Tensor) else found

    def output(self, target: Any, args: Any, kwargs: Any) -> Any:
        answer = super().output(target, args, kwargs)
        for each in _leaves(answer):
            if isinstance(each, Tensor):
                self._pin(each)
        return answer

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        module, channels = self.fetch_attr(target), args[0]
        if isinstance(module, nn.Conv2d | nn.Linear):
            return self._call_layer(target, module, channels)
        if isinstance(channels, Tensor) and not isinstance(channels, _Opaque):
            if isinstance(module, nn.Flatten):
                flat = channels.flatten(module.start_dim, module.end_dim)
                self._note_places(channels, flat)
                return flat
            if isinstance(module, Normalisation | nn.PReLU):
                return self._call_channelwise(target, module, channels)
            if isinstance(module, operators.CHANNELWISE_MODULES):
                return channels
            if isinstance(module, nn.LayerNorm | nn.GroupNorm):
                return self._pin(channels)
            if target in self._modules:
                return self._call_module_of_others(target, module, channels)
            if isinstance(module, nn.Softmax):
                return self._move(torch.softmax, (channels, module.dim), {}, super().call_function)
            if isinstance(module, nn.GLU):
                return self._move(functional.glu, (channels, module.dim), {}, super().call_function)
        return self._lose((args, kwargs))

    def _call_channelwise(
        self, name: str, layer: Normalisation | nn.PReLU, channels: Tensor
    ) -> Tensor | _Opaque:
        width = layer.num_parameters if isinstance(layer, nn.PReLU) else layer.num_features
        if self._like is None and width > 1 and not self._is_even(channels, width):
            return self._lose(channels)
        numbers = channels.flatten()
        if width > 1:
            numbers = self._repeated(name, numbers, width)
        self._note(name, layer, numbers, numbers)
        return channels

    def _call_module_of_others(
        self, name: str, module: nn.Module, channels: Tensor
    ) -> Tensor | _Opaque:
        if self._was_lost() or (self._like is None and not self._modules[name].takes(channels)):
            return self._lose(channels)
        self._note(name, module, channels.flatten(), channels.flatten())
        return channels

    def _note_places(self, before: Tensor, after: Tensor) -> None:
        """Note of flattened maps whether all channels of a place stand together, or all places."""
        if before.dim() > 2 and after.dim() == 2:
            is_by_place = before.shape[-1] == before.numel()
            order = self._by_place if is_by_place else self._by_channel
            order.update(before.flatten().tolist())

    def _call_layer(self, name: str, layer: nn.Conv2d | nn.Linear, channels: Any) -> Tensor:
        width = layer.weight.shape[1] * getattr(layer, "groups", 1)
        if self._like is None and not self._can_read(layer, channels, width):
            self._lose(channels)
        if self._was_lost() or self._node in self._opaque:
            channels = _OPAQUE
        if isinstance(channels, _Opaque):
            self._lost[name] = self._pin(self._new(width))
            channels = self._lost[name].view(1, -1, 1, 1)
            if isinstance(layer, nn.Linear):
                channels = channels.flatten(1)
        inputs = self._repeated(name, channels.flatten(), width)
        outputs = self._grouped(layer, inputs) if is_channelwise(layer) else self._own(name, layer)
        self._note(name, layer, inputs, outputs)
        if isinstance(layer, nn.Linear):
            return outputs.view(*channels.shape[:-1], -1)
        return outputs.view(1, -1, 1, 1)

    def _can_read(self, layer: nn.Conv2d | nn.Linear, channels: Any, width: int) -> bool:
        """Return whether what a layer reads are channels, each once or equally often."""
        if isinstance(channels, _Opaque):
            return True
        place = -1 if isinstance(layer, nn.Linear) else -3
        is_in_place = channels.dim() >= -place and channels.shape[place] == channels.numel()
        return is_in_place and self._is_even(channels, width)

    def _is_even(self, channels: Tensor, width: int) -> bool:
        """Return whether so many features are these channels, each as often, in a known order."""
        if width == channels.numel():
            return True
        numbers = channels.flatten().tolist()
        # Vectors that were joined may have had different numbers of places.
        has_order = self._joined_flat.isdisjoint(numbers)
        has_order &= (self._by_place & self._by_channel).isdisjoint(numbers)
        return width % len(numbers) == 0 and has_order

    def _repeated(self, name: str, inputs: Tensor, width: int) -> Tensor:
        """Return a number for each input of a layer: of a flattened map, each channel has many."""
        times = width // len(inputs) if self._like is None else self._like.repeats.get(name, 1)
        if times > 1:
            self._repeats[name] = times
        is_by_place = self._by_place.issuperset(inputs.tolist())
        return inputs.repeat(times) if is_by_place else inputs.repeat_interleave(times)

    def _own(self, name: str, layer: nn.Conv2d | nn.Linear) -> Tensor:
        """Return the numbers that a layer makes: those of its first call."""
        if name in self._ports:
            return self._ports[name].outputs
        outputs = self._new(layer.weight.shape[0])
        self._made[self._maker_of[-1]] = name
        return outputs

    def _grouped(self, layer: nn.Conv2d | nn.Linear, inputs: Tensor) -> Tensor:
        """Return the outputs of a grouped convolution, whose groups are removed whole."""
        assert isinstance(layer, nn.Conv2d)
        read, made = layer.weight.shape[1], layer.weight.shape[0] // layer.groups
        groups = inputs.view(-1, read).tolist()
        for group in groups:
            for number in group[1:]:
                self._numbers.join(number, group[0])
                self._tie((group[0], number))
        self._blocks += [(maker, read) for maker in {self._maker_of[group[0]] for group in groups}]
        return inputs[::read].repeat_interleave(made)

    def _note(self, name: str, layer: nn.Module, inputs: Tensor, outputs: Tensor) -> None:
        """Keep what stands at a layer; in a second call the same must stand there."""
        before = self._ports.get(name)
        if before is None:
            self._ports[name] = Ports(layer, inputs, outputs)
        else:
            self._join([before.inputs, inputs])
            self._join([before.outputs, outputs])

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self._move(target, args, kwargs, super().call_function)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self._move(target, args, kwargs, super().call_method)

    def _move(self, target: Any, args: Any, kwargs: Any, run: Callable[..., Any]) -> Any:
        if target is torch._assert:  # of sizes, which numbers do not have
            return None
        given = list(_leaves((args, kwargs)))
        tensors = [each for each in given if isinstance(each, Tensor)]
        if target in operators.JOINS and tensors and not self._is_lost(given):
            try:
                return self._join_all(tensors, given)
            except ValueError:
                if self._like is not None:
                    raise
                return self._lose(given)
        if target in operators.MIXES and isinstance(args[0], Tensor) and not self._is_lost(given):
            return self._pin(args[0])
        constants = [each for each in given if isinstance(each, _Constant)]
        if constants and not tensors and not self._is_lost(given):
            return _Constant(all(each.is_scalar for each in constants))
        if any(isinstance(each, _Opaque) for each in given) or self._was_lost():
            return self._lose(given)
        if target in operators.CHANNELWISE and len(tensors) == 1:
            return tensors[0]
        if tensors and target not in operators.FOLLOWED:
            return self._lose(given)
        own = self._own_way(target) if tensors else None
        try:
            result = run(target, args, kwargs) if own is None else own(*args, **kwargs)
        except (RuntimeError, ValueError, IndexError, TypeError):
            if self._like is not None:
                raise
            return self._lose(given)
        if not tensors:
            is_made_here = isinstance(result, Tensor)
            return _Constant(result.numel() == 1) if is_made_here else result  # else sizes
        if isinstance(result, Tensor):
            self._note_places(tensors[0], result)
        if target in operators.STACKS:
            self._tie(result.flatten().tolist())
        elif target in operators.CATS:
            numbers = result.flatten().tolist()
            self._tie(number for number in numbers if number in self._moved)
            if result.dim() == 2:
                self._joined_flat.update(numbers)
        elif target in operators.MOVES:
            numbers = tensors[0].flatten().tolist()
            self._moved.update(numbers)
            self._tie(numbers)
        return result

    def _is_lost(self, given: Sequence[Any]) -> bool:
        return self._was_lost() or any(
            isinstance(each, _Opaque) and not isinstance(each, _Constant) for each in given
        )

    def _was_lost(self) -> bool:
        """Whether this node could not be followed in the wider network."""
        return self._like is not None and self._node in self._like.opaque

    def _own_way(self, target: Any) -> Callable[..., Any] | None:
        """Return how numbers go through a function that would not move them, but compute."""
        ways = (
            (operators.REDUCTIONS, self._reduce),
            (operators.SOFTMAXES, self._softmax),
            (operators.PADS, self._pad),
            (operators.EXPANDS, self._expand),
            (operators.GLUS, self._glu),
            (operators.SPLITS, self._split),
        )
        return next((way for functions, way in ways if target in functions), None)

    def _reduce(self, values: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> Tensor:
        """Leave out places and paths; raise IndexError where channels are mixed."""
        dims = (dim,) if isinstance(dim, int) else tuple(dim or range(values.dim()))
        self._join_paths(values, dims)
        for each in dims:
            values = values.narrow(each, 0, 1)
        return values if keepdim else values.squeeze(dims)

    def _pad(
        self, values: Tensor, pad: Sequence[Any], mode: str = "constant", value: Any = None
    ) -> Tensor:
        """Return the numbers; raise IndexError where a channel of zeros becomes another.

        -inf is what a largest value is never taken from.
        """
        if mode == "constant" and value not in (None, 0, -inf):
            raise IndexError(f"places are padded with {value}")
        for place in range(len(pad) // 2):
            is_of_channels = values.shape[-1 - place] == values.numel() > 1
            if is_of_channels and any(size != 0 for size in pad[2 * place : 2 * place + 2]):
                raise IndexError(f"channels are padded by {tuple(pad)}")
        return values

    def _expand(self, values: Tensor, *sizes: Any) -> Tensor:
        """Return the numbers as they are; raise IndexError where dimensions are added."""
        to = sizes[0].dim() if isinstance(sizes[0], Tensor) else len(list(_leaves(sizes)))
        if to != values.dim():
            raise IndexError(f"{values.dim()} dimensions become {to}")
        return values

    def _glu(self, values: Tensor, dim: int = -1) -> Tensor:
        self._tie(values.flatten().tolist())
        return self._join(values.chunk(2, dim))

    def _softmax(self, values: Tensor, dim: int, **_: Any) -> Tensor:
        """Return the numbers, all of which stay where each is weighed against all others."""
        is_over_paths = self._like is not None and self._node in self._like.paths
        if 1 < values.numel() == values.shape[dim] and not is_over_paths:
            return self._pin(values)
        self._join_paths(values, (dim,))
        return values

    def _join_paths(self, values: Tensor, dims: Sequence[int]) -> None:
        """Declare maps the same that stand beside one another in dimensions, channel by channel.

        As many of them must stand there however narrow the network is, else they are channels.
        """
        sizes = [values.shape[each] for each in dims]
        if self._like is None and values.numel() > 1 and prod(sizes) == values.numel():
            raise IndexError(f"dimensions {dims} hold all channels")
        if self._like is not None and self._like.paths.get(self._node, sizes) != sizes:
            raise IndexError(f"dimensions {dims} hold channels")
        if prod(sizes) > 1:
            self._paths[self._node] = sizes
            places = [each % values.dim() for each in dims]
            kept = [each for each in range(values.dim()) if each not in places]
            self._join(list(values.permute(*places, *kept).reshape(prod(sizes), -1)))

    def _split(self, values: Tensor, sizes: Any = None, dim: int = 0, **named: Any) -> Any:
        """Return parts of these sizes, or of those that an attribute may be given for them."""
        if sizes is None:
            (sizes,) = named.values()
        found = self._fixed.get(self._node)
        if found is not None and self._like is None:
            parts = torch.split(values, sizes, dim)
            found = found.of(tuple(part.shape[dim] for part in parts))
        elif found is not None:
            found = found.fitted(values.shape[dim])
        if found is None:
            return torch.split(values, sizes, dim)
        self._splits[self._node] = found
        self._block(values.flatten().tolist(), found.unit)
        return torch.split(values, list(found.parts), dim)

    def _block(self, numbers: Sequence[int], unit: int) -> None:
        """Let the layers that made these numbers make a multiple of `unit` together."""
        counts = Counter(self._maker_of[number] for number in numbers)
        is_even = len(set(counts.values())) == 1
        each = unit // gcd(unit, len(counts) if is_even else 1)
        self._blocks += [(maker, each) for maker in counts]

    def _lose(self, given: Any) -> _Opaque:
        """Return what cannot be followed; what it is made of stays as it is."""
        self._opaque.add(self._node)
        for each in _leaves(given):
            if isinstance(each, Tensor):
                self._pin(each)
        return _OPAQUE

    def _join_all(self, tensors: Sequence[Tensor], given: Sequence[Any]) -> Any:
        """Declare channels the same that are added or multiplied."""
        constants = [each for each in given if isinstance(each, _Constant)]
        if any(not each.is_scalar for each in constants):
            for each in tensors:
                self._pin(each)
        return self._join(tensors)

    def _join(self, tensors: Sequence[Tensor]) -> Tensor:
        """Declare the channels of maps the same, one by one."""
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
        self._pin(small)
        return large

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


def _family(names: Sequence[str], together: int, made: Sequence[Tensor]) -> Family | None:
    """Return layers that make these numbers as a family; None where they have no common part."""
    if len({len(each) for each in made}) == 1:
        return Family(names, together, [1] * len(names))
    parts = {len(set(each.tolist())) for each in made}
    if len(parts) > 1 or together > 1 or any(len(each) % max(parts) for each in made):
        return None
    return Family(names, 1, [len(each) // max(parts) for each in made])


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


def _leaves(given: Any) -> Iterable[Any]:
    """Yield all that stands in arguments, however nested."""
    if isinstance(given, dict):
        given = list(given.values())
    if isinstance(given, tuple | list):
        for each in given:
            yield from _leaves(each)
    else:
        yield given
