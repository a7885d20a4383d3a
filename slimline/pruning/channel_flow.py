"""Which channels can only go together: a network, run on the numbers of its channels.

Every channel of every tensor gets a number, and the numbers are sent through the network's own
graph: a layer makes new ones, an addition declares two of them one and the same, and
concatenations, splits and shuffles simply move them. In the end each layer knows which numbers
stand at its input and output. That is exact for any topology.

What becomes of channels in a function that is not known here, as in attention, is opaque: the
layers that it reads stay whole, and so do those that read what it returns as they did before.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from slimline.errors import NetworkError
from slimline.networks import traceable, tracing
from slimline.pruning import attention_heads, channel_modules, keepers, opaque, split_widths
from slimline.pruning import followed_operators as operators
from slimline.pruning.attention_heads import AttentionHeads, AttentionModules
from slimline.pruning.channel_modules import ChannelModules
from slimline.pruning.channel_numbers import ChannelNumbers, Family
from slimline.pruning.channel_sizes import ChannelSizes
from slimline.pruning.function_rules import FunctionRules, leaves, mixes_channels
from slimline.pruning.keepers import Keeper, TooNarrowError
from slimline.pruning.opaque import Constant, OfHeads, Opaque
from slimline.pruning.split_widths import SplitWidth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Normalisation = nn.BatchNorm1d | nn.BatchNorm2d | nn.InstanceNorm2d
"""What normalises each channel by itself, and may have statistics."""

PrunableLayer = nn.Conv2d | nn.Linear | nn.PReLU | nn.GroupNorm | Normalisation
"""What has weights that may be cut."""


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
class Flow:
    """Where all channels of a network go; those of the images have the first numbers."""

    num_inputs: int
    ports: Mapping[str, Ports]
    """Layers by name, in order of the network."""
    made: Mapping[str, Tensor]
    """The numbers that a layer makes, by its name; int64 [width]."""
    lost: Mapping[str, Tensor]
    """The numbers of what a layer reads that cannot be followed, by its name; int64 [width].

    And those of constants that stand beside channels, by the node's name and their place.
    """
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
    decisions: Mapping[str, bool]
    """What the code decides by how many channels there are, by the name of the node."""

    passed: Mapping[str, Tensor]
    """The numbers that any other node returns, by its name."""
    decided: fx.Graph | None
    """What calls what in a network that decides by the shape of its images, for such as it got."""
    modules: ChannelModules
    """Modules of others among the layers, each with how it is narrowed."""
    attentions: AttentionModules
    """Modules that can lose heads."""
    keepers: Mapping[str, Keeper]
    """What keeps layers as wide as they are, by the layer's name."""

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
        NetworkError: what the network calls depends on its input, so that it has no graph.
        TooNarrowError: the network cannot be as narrow as this.
    """
    modules = channel_modules.find(network) if like is None else like.modules
    attentions = attention_heads.find(network, example) if like is None else like.attentions
    whole = frozenset({*modules, *attentions}) | _of_timm(network)
    decided = _decided(network, whole, example) if like is None else like.decided
    graph = decided
    if graph is None:
        graph = tracing.graph(network, with_whole_parts=True, whole=whole)
    flow = _ChannelFlow(network, graph, modules, attentions, like)
    try:
        flow.run(torch.zeros(1, num_inputs, 1, 1))
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        if like is None:
            raise
        raise TooNarrowError(flow.keeper) from error
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


def _returned(layer: nn.Conv2d | nn.Linear, outputs: Tensor, channels: Tensor) -> Tensor:
    """Return what a layer makes of such a map."""
    if isinstance(layer, nn.Linear):
        return outputs.view(*channels.shape[:-1], -1)
    return outputs.view(1, -1, 1, 1)


def group_size(norm: nn.GroupNorm) -> int:
    """Return how many channels are normalised together."""
    return norm.num_channels // norm.num_groups


def _of_timm(network: nn.Module) -> frozenset[str]:
    """Return the names of GroupNorms that timm wrote, with an activation at most in addition."""
    return frozenset(
        name
        for name, each in network.named_modules()
        if isinstance(each, nn.GroupNorm) and type(each).__module__.startswith("timm.")
    )


def _is_in_order(before: Tensor, after: Any) -> bool:
    """Do all channels still stand in one dimension, one after another, as they did?"""
    is_whole = isinstance(after, Tensor) and max(after.shape, default=1) == after.numel()
    return is_whole and torch.equal(before.flatten(), after.flatten())


def _is_of_maps(channels: Tensor) -> bool:
    """Do all channels stand where a convolution has its own?"""
    return channels.dim() > 2 and channels.shape[-3] == channels.numel()


def _is_of_attention(value: Any) -> bool:
    return isinstance(value, tuple) and any(isinstance(each, OfHeads) for each in value)


class _ChannelFlow(fx.Interpreter):
    """Runs a graph on channel numbers, [1, channels, 1, 1], instead of on images."""

    def __init__(
        self,
        network: nn.Module,
        graph: fx.Graph,
        modules: ChannelModules,
        attentions: AttentionModules,
        like: Flow | None,
    ) -> None:
        super().__init__(network, graph=graph)
        self._like = like
        self._modules, self._attentions = modules, attentions
        self._numbers = ChannelNumbers()
        splits = split_widths.find(network, graph) if like is None else like.splits
        self._rules = FunctionRules(self._numbers, splits, None if like is None else like.paths)
        self._sizes = ChannelSizes(self._numbers, None if like is None else like.decisions)
        self._passed: dict[str, Tensor] = {}
        self._lost: dict[str, Tensor] = {}
        self._moved: set[int] = set()
        self._parted: set[int] = set()
        self._by_place: set[int] = set()
        self._by_channel: set[int] = set()
        self._joined_flat: set[int] = set()
        self._of_any_rank: set[int] = set()
        self._ports: dict[str, Ports] = {}
        self._attended: set[str] = set()
        self._repeats: dict[str, int] = {}
        self._opaque: set[str] = set()
        self._node = ""
        self._nodes: dict[str, fx.Node] = {}
        self._num_inputs = 0

    def result(self) -> Flow:
        """Return what was found, when the graph has been run."""
        self._pin_parted_groups()
        decisions = self._sizes.decisions()
        roots = self._numbers.roots()
        ports = {
            name: Ports(port.layer, roots[port.inputs], roots[port.outputs])
            for name, port in self._ports.items()
        }
        made = {name: ports[name].outputs for name in self._numbers.makers()}
        return Flow(
            self._num_inputs,
            ports,
            made,
            {name: roots[numbers] for name, numbers in self._lost.items()},
            list(self._numbers.families(made)),
            frozenset(self._opaque),
            self._repeats,
            self._rules.splits,
            self._rules.paths,
            decisions,
            {name: roots[numbers] for name, numbers in self._passed.items()},
            None,
            self._modules,
            {name: each for name, each in self._attentions.items() if name in self._attended},
            {
                layer: keepers.of_node(self._nodes[reader], self.module)
                for layer, reader in self._numbers.keepers().items()
            },
        )

    @property
    def keeper(self) -> Keeper:
        """What is looked at now."""
        return keepers.of_node(self._nodes[self._node], self.module)

    def _pin_parted_groups(self) -> None:
        """Let those groups of a GroupNorm stay whose channels come to stand elsewhere.

        In a narrower network the parts of a split could end within a group.
        """
        roots = self._numbers.roots()
        parted = set(roots[list(self._parted)].tolist())
        for name, port in self._ports.items():
            is_parted = not parted.isdisjoint(roots[port.inputs].tolist())
            if isinstance(port.layer, nn.GroupNorm) and is_parted:
                callers = (node for node in self._nodes.values() if node.target == name)
                self._numbers.reader = next(callers).name
                self._numbers.pin(port.inputs)

    def run_node(self, n: fx.Node) -> Any:
        self._node = self._numbers.reader = n.name
        self._nodes[n.name] = n
        result = super().run_node(n)
        if isinstance(result, Tensor) and n.target not in operators.MOVES | operators.CATS:
            self._passed[n.name] = result.flatten()
        self._sizes.note(n, result, self.env)
        return result

    def placeholder(self, target: Any, args: Any, kwargs: Any) -> Any:
        images = super().placeholder(target, args, kwargs)
        if not isinstance(images, Tensor):
            return images
        self._num_inputs = images.shape[1]
        return self._numbers.pin(self._numbers.new(self._num_inputs)).view(1, -1, 1, 1)

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        found = super().get_attr(target, args, kwargs)
        return opaque.constant(found) if isinstance(found, Tensor) else found

    def output(self, target: Any, args: Any, kwargs: Any) -> Any:
        answer = super().output(target, args, kwargs)
        self._pin_all(leaves(answer))
        return answer

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        module = self.fetch_attr(target)
        channels = next(iter([*args, *kwargs.values()]), None)
        if isinstance(module, nn.Conv2d | nn.Linear):
            return self._call_layer(target, module, channels)
        if target in self._attentions:
            self._pin_all(each for each in leaves((args, kwargs)) if each is not channels)
            return self._call_attention(target, self._attentions[target], channels)
        if isinstance(channels, Tensor) and not isinstance(channels, Opaque):
            if isinstance(module, nn.Flatten):
                flat = channels.flatten(module.start_dim, module.end_dim)
                self._note_places(channels, flat)
                return flat
            if isinstance(module, Normalisation | nn.PReLU):
                return self._call_channelwise(target, module, channels)
            if isinstance(module, operators.CHANNELWISE_MODULES):
                return self._lose(channels) if mixes_channels(module, channels) else channels
            if isinstance(module, nn.GroupNorm) and self._keeps_groups_apart(
                target, module, channels
            ):
                self._numbers.group(channels.flatten(), group_size(module))
                self._note(target, module, channels.flatten(), channels.flatten())
                return channels
            if isinstance(module, nn.LayerNorm | nn.GroupNorm):
                return self._numbers.pin(channels)
            if target in self._modules:
                return self._call_module_of_others(target, module, channels)
            if isinstance(module, nn.Softmax):
                return self._move(torch.softmax, (channels, module.dim), {}, super().call_function)
            if isinstance(module, nn.GLU):
                return self._move(functional.glu, (channels, module.dim), {}, super().call_function)
        return self._lose((args, kwargs))

    def _keeps_groups_apart(self, name: str, norm: nn.GroupNorm, channels: Tensor) -> bool:
        """Return whether groups of channels can go, each of which is normalised by itself."""
        if self._like is not None:
            return name in self._like.ports
        is_in_place = channels.dim() > 1 and channels.shape[1] == channels.numel()
        return is_in_place and norm.num_groups > 1 and channels.numel() == norm.num_channels

    def _call_channelwise(
        self, name: str, layer: Normalisation | nn.PReLU, channels: Tensor
    ) -> Tensor | Opaque:
        width = layer.num_parameters if isinstance(layer, nn.PReLU) else layer.num_features
        if self._like is None and width > 1 and not self._is_even(channels, width):
            return self._lose(channels)
        if isinstance(layer, nn.InstanceNorm2d) and not _is_of_maps(channels):
            return self._lose(channels)
        numbers = channels.flatten()
        if width > 1:
            numbers = self._repeated(name, numbers, width)
        self._note(name, layer, numbers, numbers)
        return channels

    def _call_module_of_others(
        self, name: str, module: nn.Module, channels: Tensor
    ) -> Tensor | Opaque:
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
        inputs, channels = self._read(name, layer, channels)
        outputs = self._grouped(layer, inputs) if is_channelwise(layer) else self._own(name, layer)
        if isinstance(layer, nn.Linear) and not self._of_any_rank.isdisjoint(inputs.tolist()):
            self._of_any_rank.update(outputs.tolist())
        self._note(name, layer, inputs, outputs)
        return _returned(layer, outputs, channels)

    def _call_attention(self, name: str, attention: AttentionHeads, channels: Any) -> Any:
        """Return what the reader of the heads makes of them; each head has a number."""
        self._attended.add(name)
        makers = {f"{name}.{each}": layout for each, layout in attention.makers.items()}
        layers = {each: self.fetch_attr(each) for each in makers}
        first, layout = next(iter(makers.items()))
        count = len(layers[first].weight) // layout.per_head
        before = self._ports.get(first)
        if before is None:
            heads = self._numbers.new_heads(count, list(makers))
        else:
            heads = torch.tensor(sorted(set(before.outputs.tolist())))  # numbered in order
        given = channels
        for each, layout in makers.items():
            inputs, given = self._read(each, layers[each], channels)
            self._note(each, layers[each], inputs, heads[layout.heads(count)])
        reader_name = f"{name}.{attention.reader}"
        reader = self.fetch_attr(reader_name)
        outputs = self._own(reader_name, reader)
        self._note(reader_name, reader, heads[attention.read.heads(count)], outputs)
        answer = _returned(reader, outputs, given)
        if not attention.num_answers:
            return answer
        return (answer, *[OfHeads(heads)] * (attention.num_answers - 1))

    def _read(
        self, name: str, layer: nn.Conv2d | nn.Linear, channels: Any
    ) -> tuple[Tensor, Tensor]:
        """Return the numbers that a layer reads, and the map that has them, as far as known."""
        width = layer.weight.shape[1] * getattr(layer, "groups", 1)
        if self._like is None and not self._can_read(layer, channels, width):
            self._lose(channels)
        if self._was_lost() or self._node in self._opaque:
            channels = Opaque(self._node)
        if isinstance(channels, Opaque):
            self._lost[name] = self._numbers.pin(self._numbers.new(width))
            channels = self._lost[name].view(1, -1, 1, 1)
            if isinstance(layer, nn.Linear):
                channels = channels.flatten(1)
                self._of_any_rank.update(self._lost[name].tolist())
        return self._repeated(name, channels.flatten(), width), channels

    def _can_read(self, layer: nn.Conv2d | nn.Linear, channels: Any, width: int) -> bool:
        """Return whether what a layer reads are channels, each once or equally often."""
        if isinstance(channels, Opaque):
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
        has_order &= self._of_any_rank.isdisjoint(numbers)
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
        return self._numbers.new(layer.weight.shape[0], name)

    def _grouped(self, layer: nn.Conv2d | nn.Linear, inputs: Tensor) -> Tensor:
        """Return the outputs of a grouped convolution, whose groups are removed whole."""
        assert isinstance(layer, nn.Conv2d)
        read, made = layer.weight.shape[1], layer.weight.shape[0] // layer.groups
        self._numbers.group(inputs, read)
        return inputs[::read].repeat_interleave(made)

    def _note(self, name: str, layer: nn.Module, inputs: Tensor, outputs: Tensor) -> None:
        """Keep what stands at a layer; in a second call the same must stand there."""
        before = self._ports.get(name)
        if before is None:
            self._ports[name] = Ports(layer, inputs, outputs)
        else:
            self._numbers.join([before.inputs, inputs])
            self._numbers.join([before.outputs, outputs])

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self._move(target, args, kwargs, super().call_function)

    def call_method(self, target: Any, args: Any, kwargs: Any) -> Any:
        return self._move(target, args, kwargs, super().call_method)

    def _move(self, target: Any, args: Any, kwargs: Any, run: Callable[..., Any]) -> Any:
        if target is torch._assert:  # of sizes, which numbers do not have
            return None
        if target is operator.getitem and _is_of_attention(args[0]):
            return args[0][args[1]]
        given = list(leaves((args, kwargs)))
        tensors = [each for each in given if isinstance(each, Tensor)]
        if tensors and traceable.changes(target) and isinstance(args[0], Constant):
            args[0].content.is_lost = True
        if target in operators.JOINS and tensors and not self._is_lost(given):
            try:
                return self._join_all(tensors, given)
            except ValueError:
                if self._like is not None:
                    raise
                return self._lose(given)
        if target in operators.MIXES and isinstance(args[0], Tensor) and not self._is_lost(given):
            return self._numbers.pin(args[0])
        constants = [each for each in given if isinstance(each, Constant)]
        if constants and not tensors and not self._is_lost(given):
            return opaque.computed(target, args, kwargs, run)
        if target in operators.CASTS and isinstance(args[0], Constant):
            return args[0]
        if target in operators.FILLS and not self._is_lost(given):
            return self._fill(target, args, kwargs, run)
        if target in operators.CATS and constants and not self._is_lost(given):
            args, kwargs = self._with_numbers(*args, **kwargs), {}
            given = list(leaves(args))
        if any(isinstance(each, Opaque) for each in given) or self._was_lost():
            return self._lose(given)
        if target in operators.CHANNELWISE and len(tensors) == 1:
            return self._lose(given) if mixes_channels(target, tensors[0]) else tensors[0]
        if tensors and target not in operators.FOLLOWED:
            return self._lose(given)
        own = self._rules.of(target, self._node) if tensors else None
        try:
            result = run(target, args, kwargs) if own is None else own(*args, **kwargs)
        except (RuntimeError, ValueError, IndexError, TypeError):
            if self._like is not None:
                raise
            return self._lose(given)
        if not tensors:
            return opaque.constant(result) if isinstance(result, Tensor) else result
        if isinstance(result, Tensor):
            self._note_places(tensors[0], result)
        if target in operators.STACKS:
            self._numbers.tie(result.flatten().tolist())
        elif target in operators.CATS:
            numbers = result.flatten().tolist()
            self._numbers.tie(number for number in numbers if number in self._moved)
            if result.dim() == 2:
                self._joined_flat.update(numbers)
        elif target in operators.MOVES:
            numbers = tensors[0].flatten().tolist()
            self._moved.update(numbers)
            self._numbers.tie(numbers)
        if target in operators.MOVES | operators.GLUS and not _is_in_order(tensors[0], result):
            self._parted.update(tensors[0].flatten().tolist())
        return result

    def _fill(self, target: Any, args: Any, kwargs: Any, run: Callable[..., Any]) -> Opaque:
        try:
            return opaque.filled(target, args[0], args[1:], kwargs, run)
        except RuntimeError:  # as of a map that is smaller than it seems here
            if self._like is not None:
                raise
            return self._lose((args, kwargs))

    def _with_numbers(self, tensors: Any, dim: int = 0, **named: int) -> tuple[Any, int]:
        """Return what is joined and where, with numbers that stay in the place of constants."""
        dim = next(iter(named.values()), dim)  # torch says axis as well
        maps = next(each for each in tensors if isinstance(each, Tensor))
        inputs = self._nodes[self._node].all_input_nodes
        if any(map(self._sizes.decide_size, inputs)):
            return tensors, dim
        names = (f"{self._node} {place}" for place in count())
        parts = zip(names, tensors, strict=False)
        return [self._numbered(name, each, maps, dim) for name, each in parts], dim

    def _numbered(self, name: str, part: Any, maps: Tensor, dim: int) -> Any:
        """Return numbers in the place of a constant that stands beside maps, if it has channels.

        Raises:
            ValueError: it had another number of them in the wider network.
        """
        if not isinstance(part, Constant) or part.value is None:
            return part
        if part.value.dim() != maps.dim() or maps.numel() != maps.shape[dim]:
            return part
        sizes = [1] * maps.dim()
        sizes[dim] = part.value.shape[dim]
        if self._like is not None and len(self._like.lost[name]) != sizes[dim]:
            raise ValueError(f"{name} has {sizes[dim]} channels")
        self._lost[name] = self._numbers.pin(self._numbers.new(sizes[dim]))
        return self._lost[name].view(sizes)

    def _is_lost(self, given: Sequence[Any]) -> bool:
        return self._was_lost() or any(
            isinstance(each, Opaque)
            and not (isinstance(each, Constant) and not each.content.is_lost)
            for each in given
        )

    def _was_lost(self) -> bool:
        """Whether this node could not be followed in the wider network."""
        return self._like is not None and self._node in self._like.opaque

    def _lose(self, given: Any) -> Opaque:
        """Return what cannot be followed; what it is made of stays as it is."""
        self._opaque.add(self._node)
        parts = list(leaves(given))
        origins = [each.origin for each in parts if isinstance(each, Opaque) and each.origin]
        self._numbers.reader = next(iter(origins), self._node)
        self._pin_all(parts)
        return Opaque(self._numbers.reader)

    def _pin_all(self, given: Iterable[Any]) -> None:
        """Let all keep their widths that made these, or whose heads these are of."""
        for each in given:
            if isinstance(each, Tensor | OfHeads):
                self._numbers.pin(each if isinstance(each, Tensor) else each.numbers)

    def _join_all(self, tensors: Sequence[Tensor], given: Sequence[Any]) -> Any:
        """Declare channels the same that are added or multiplied."""
        constants = [each for each in given if isinstance(each, Constant)]
        for each in tensors:
            if any(constant.meets(each) for constant in constants):
                self._numbers.pin(each)
        return self._numbers.join(tensors)
