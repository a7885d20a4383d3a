"""A plan of channels that could go, and their removal.

`slimline.pruning.channel_flow` says which of them can only go together.

To narrow a network, layers get new widths, and numbers are sent through it once more: the
network's own code says what the narrower layers are connected to. Then each new channel takes the
weights of the best old one that went the same way. So even channels that a unit splits and hands
on, as in ShuffleNetV2, can be removed.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import lcm

import torch
from torch import Tensor, nn

from slimline.networks.architecture import SplitWidths
from slimline.pruning import channel_flow, cost, exactness, keepers, split_widths
from slimline.pruning.attention_heads import AttentionHeads
from slimline.pruning.channel_flow import Flow, Normalisation, Ports, PrunableLayer
from slimline.pruning.channel_numbers import Family
from slimline.pruning.cost import Cost, LayerCost
from slimline.pruning.groups import Group
from slimline.pruning.keepers import Keeper, TooNarrowError
from slimline.pruning.whole_layers import WholeLayer

Scores = Mapping[str, tuple[Tensor, Tensor]]
"""How much each output and each input channel of a layer matters, by the layer's name; float64
[outputs] and [inputs], not negative. A layer with weights per channel has outputs alone, and a
BatchNorm without weights has none."""

_IN_CODE = Keeper("a width that the code computes with", "")

_MORE_CHANNELS = (1, 2, 3, 4, 8)
"""Times the multiple that is tried where the code takes not every width, as a sum of quarters."""


_FAR_APART = 0.618
"""Of whose multiples no two that follow are alike, nor are many, without their whole part."""


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
            NetworkError: the network has no graph, since what it calls depends on its input.
        """
        self.network, self._num_inputs = network, example.shape[1]
        self._shape = example.shape
        # Counted first: code that keeps a table for its next call decides by it from then on.
        self._cost = cost.count(network, example)
        self._flow = channel_flow.follow(network, self._num_inputs, example=example)
        self._keepers = dict(self._flow.keepers)
        self._importance = _importance(self._flow, scores)
        self.split_widths: SplitWidths = split_widths.collected(self._flow.splits)
        self._times = {
            name: times
            for family in self._flow.families
            for name, times in zip(family.names, family.times, strict=True)
        }
        groups = [self._group(family, multiple) for family in self._flow.families]
        self.groups = self._without_rigid(groups)
        self.groups = self._without_inexact()

    @property
    def whole(self) -> Sequence[WholeLayer]:
        """The layers that keep their width, the last one apart, in order.

        Among them is what multiplies by weights and is no such layer.
        """
        free = {name for group in self.groups for name in group.layers}
        free |= self._flow.ports.keys() - self._flow.made.keys()  # as wide as what they read
        whole = [name for name in self._cost.names if name not in free][:-1]
        return [
            WholeLayer(name, keeper.kind, keeper.place)
            for name in whole
            if name not in self._cost.trifles
            for keeper in [self._keeper(name)]
        ]

    def _keeper(self, name: str) -> Keeper:
        if name in self._keepers:
            return self._keepers[name]
        if name in self._flow.made:
            return Keeper("widths without a common part", "")
        return keepers.of_unfollowed(name, self.network)

    def _without_rigid(self, groups: Sequence[Group]) -> Sequence[Group]:
        """Return the groups whose widths the network's own code lets change.

        A `view` with a width written into it does not, nor what is decided by a single width.
        """
        if self._obstacle(groups) is None and not self._flow.decisions:
            return groups
        obstacles = [self._obstacle_of(each) for each in groups]
        for group, obstacle in zip(groups, obstacles, strict=True):
            if obstacle is not None:
                self._keepers.update(dict.fromkeys(group.layers, obstacle))
        return [
            group for group, obstacle in zip(groups, obstacles, strict=True) if obstacle is None
        ]

    def _obstacle_of(self, group: Group) -> Keeper | None:
        """Return what keeps a group's width from changing in steps of a few; else set the smallest.

        None where nothing does.
        """
        given, found = group.multiple, None
        for times in _MORE_CHANNELS:
            group.multiple = times * given
            group.floor = min(max(group.floor, group.multiple), group.full_width)
            if times == 1 or group.floor < group.full_width:
                found = self._obstacle([group])
                if found is None:
                    return None
        return found

    def _obstacle(self, groups: Sequence[Group]) -> Keeper | None:
        """Return what no longer fits together with these groups made narrower; None where all does.

        Half of each, or one step; another share of each, as two that the code takes for equally
        wide would be so by chance; where code decides by a width, nearly all of it as well.
        """
        trials: list[Callable[[Group, float], None]] = [
            lambda group, _: group.remove(group.full_width / 2),
            lambda group, _: group.step(-1),
        ]
        if len(groups) > 1:
            trials.append(lambda group, share: group.remove(group.full_width * share / 2))
        if self._flow.decisions:
            trials.append(lambda group, _: group.remove(group.full_width))
        try:
            for narrow in trials:
                for place, group in enumerate(groups):
                    group.width = group.full_width
                    narrow(group, _FAR_APART * place % 1)
                self._narrow_flow(groups)
        except TooNarrowError as error:
            return error.keeper
        finally:
            for group in groups:
                group.width = group.full_width
            self._set_widths(groups)
        return None

    def _group(self, family: Family, multiple: int) -> Group:
        rounded = 1 if family.is_of_heads else lcm(multiple, family.together)
        group = Group(family.names, self._importance_of(family), rounded)
        least = -(-family.least // rounded) * rounded
        group.floor = min(max(group.floor, least), group.full_width)
        return group

    def _importance_of(self, family: Family) -> Tensor:
        made = [self._flow.made[name].tolist() for name in family.names]
        if max(family.times) > 1:
            made = [list(dict.fromkeys(each)) for each in made]
        parts = min(len(each) for each in made)
        rows = ([self._importance[number] for number in each] for each in made)
        return torch.stack(
            [torch.tensor(row, dtype=torch.float64).view(-1, parts).mean(0) for row in rows]
        )

    def predict(self) -> Cost:
        """Return what the network would cost with the widths that the groups have now."""
        ports = self._narrow_flow(self.groups).ports
        gone = sum(old.params - ports[name].params for name, old in self._flow.ports.items())
        for name, attention in self._flow.attentions.items():
            lost = attention.count - _num_heads(attention, name, ports)
            gone += lost * attention.weights_per_head(self.network.get_submodule(name))
        return Cost(
            params=self._cost.params - gone,
            layers=[
                _narrowed(layer, ports[layer.name]) if layer.name in ports else layer
                for layer in self._cost.layers
            ],
            fixed=self._cost.fixed,
        )

    @torch.no_grad()
    def apply(self) -> dict[str, Tensor]:
        """Make the network as narrow as its groups say, in place; the best channels stay.

        Returns for each layer the rows of its weights that stayed, int64 [width].
        """
        return {name: rows for name, (rows, _) in self.cut().items()}

    @torch.no_grad()
    def cut(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Do as `apply`; return the columns of each layer as well, one that is new as -1."""
        flow = self._narrow_flow(self.groups)
        for split in flow.splits.values():
            split.write(self.network)
        self.split_widths = split_widths.joined(split_widths.collected(flow.splits), _counts(flow))
        origin = _match(self._flow, flow, self._importance)
        stayed = {}
        for name, old in self._flow.ports.items():
            new = flow.ports[name]
            rows = _places(old.outputs, new.outputs, origin)
            columns = _places(old.inputs, new.inputs, origin)
            stayed[name] = rows, columns
            if _are_all(rows, old.outputs) and _are_all(columns, old.inputs):
                continue  # a weight that it shares with another layer stays theirs
            if isinstance(old.layer, PrunableLayer):
                _select(old.layer, rows, columns)
            else:
                self._flow.modules[name].narrow(old.layer, rows)
        for name, attention in self._flow.attentions.items():
            maker, layout = next(iter(attention.makers.items()))
            heads = layout.heads(attention.count)[stayed[f"{name}.{maker}"][0]]
            kept = torch.tensor(list(dict.fromkeys(heads.tolist())))
            attention.narrow(self.network.get_submodule(name), kept)
        return stayed

    def _without_inexact(self) -> Sequence[Group]:
        """Return the groups of which channels can go as if they were 0."""
        exact = exactness.groups(self, self._shape)
        names = {name for group in exact for name in group.layers}
        for group in self.groups:
            self._keepers.update({name: _IN_CODE for name in group.layers if name not in names})
        return exact

    def _narrow_flow(self, groups: Sequence[Group]) -> Flow:
        """Return where channels go in a network of the new widths; what stays is not yet known."""
        self._set_widths(groups)
        flow = channel_flow.follow(self._shell, self._num_inputs, like=self._flow)
        split_widths.collected(flow.splits)
        return flow

    def _set_widths(self, groups: Sequence[Group]) -> None:
        for group in groups:
            for name in group.layers:
                _set_width(self._shell.get_submodule(name), group.width * self._times[name])

    @cached_property
    def _shell(self) -> nn.Module:
        """A copy whose widths may be set to and fro; it has no weights and computes nothing."""
        weights = {
            id(weight): nn.Parameter(torch.empty_like(weight, device="meta"))
            for weight in self.network.parameters()
        }
        return copy.deepcopy(self.network, weights)


def _narrowed(layer: LayerCost, port: Ports) -> LayerCost:
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


def _num_heads(attention: AttentionHeads, name: str, ports: Mapping[str, Ports]) -> int:
    """Return how many heads a module has at these widths of its layers."""
    maker, layout = next(iter(attention.makers.items()))
    return len(ports[f"{name}.{maker}"].outputs) // layout.per_head


def _counts(flow: Flow) -> SplitWidths:
    """Return the numbers of heads, groups and channels that modules know, of those that lose some.

    They are told as `split_widths` tells its own: shapes of weights do not say them.
    """
    found: dict[str, dict[str, int | list[int]]] = {}
    for name, attention in flow.attentions.items():
        count = _num_heads(attention, name, flow.ports)
        if count < attention.count:
            for (part, attribute), value in attention.numbers_of(count).items():
                found.setdefault(f"{name}.{part}".removesuffix("."), {})[attribute] = value
    for name, port in flow.ports.items():
        norm, width = port.layer, len(port.outputs)
        if isinstance(norm, nn.GroupNorm) and width < norm.num_channels:
            groups = width // channel_flow.group_size(norm)
            found[name] = {"num_groups": groups, "num_channels": width}
        if isinstance(norm, nn.InstanceNorm2d) and width < norm.num_features:
            found[name] = {"num_features": width}
    return found


def _importance(flow: Flow, scores: Scores) -> dict[int, float]:
    """Return for each number its mean score over its layers, relative to their own means.

    Absolute scores cannot be compared between layers, since BatchNorm rescales them.
    """
    found: dict[int, list[float]] = defaultdict(list)
    for name, port in flow.ports.items():
        if name not in scores:
            continue
        rows, columns = scores[name]
        if len(rows) == len(port.outputs):  # else one weight for all channels
            _note(found, port.outputs, rows)
        if not port.is_channelwise:
            is_new = ~torch.isin(port.inputs, port.outputs)
            _note(found, port.inputs, columns, where=is_new)
    return {number: sum(each) / len(each) for number, each in found.items()}


def _match(old: Flow, new: Flow, importance: Mapping[int, float]) -> dict[int, int]:
    """Return for every number of the narrow network the old one whose weights it takes.

    It is the most important one that the same layer made and that stood at the same layers. Where
    too few did, the best of the others follow: at a layer that did not read them they begin at 0.
    """
    old_homes, new_homes = old.homes(), new.homes()
    origin = {number: number for number in range(new.num_inputs)}
    for name, numbers in new.lost.items():
        origin.update(zip(numbers.tolist(), old.lost[name].tolist(), strict=True))
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
    """Return where in `old` the origins of `new` stand, -1 for nowhere; int64 [new].

    Where a number stands several times, its first place in `new` is its first in `old`, and so on.
    """
    places: dict[int, list[int]] = defaultdict(list)
    for position, number in enumerate(old.tolist()):
        places[number].append(position)
    seen: dict[int, int] = defaultdict(int)
    found = []
    for number in new.tolist():
        known = places[origin[number]]
        found.append(known[seen[number]] if known else -1)
        seen[number] += 1
    return torch.tensor(found, dtype=torch.int64)


def _are_all(places: Tensor, old: Tensor) -> bool:
    return torch.equal(places, torch.arange(len(old)))


def _note(
    found: dict[int, list[float]], numbers: Tensor, magnitude: Tensor, where: Tensor | None = None
) -> None:
    relative = magnitude / magnitude.mean().clamp_min(torch.finfo(magnitude.dtype).tiny)
    for position, number in enumerate(numbers.tolist()):
        if where is None or where[position]:
            found[number].append(float(relative[position]))


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
    has_columns = not channel_flow.is_channelwise(layer)
    if isinstance(layer, Normalisation):
        layer.num_features = len(rows)
        for name in ("running_mean", "running_var"):
            statistics = getattr(layer, name)
            setattr(layer, name, None if statistics is None else statistics[rows])
    elif isinstance(layer, nn.Linear):
        layer.in_features, layer.out_features = len(columns), len(rows)
    elif isinstance(layer, nn.Conv2d):
        if layer.groups > 1:
            layer.groups = len(rows) * layer.groups // layer.out_channels
        layer.in_channels, layer.out_channels = len(columns), len(rows)
    elif isinstance(layer, nn.GroupNorm):
        layer.num_groups = len(rows) // channel_flow.group_size(layer)
        layer.num_channels = len(rows)
    elif layer.num_parameters > 1:
        layer.num_parameters = len(rows)
    for name, weight in list(layer.named_parameters(recurse=False)):
        is_for_all = isinstance(layer, nn.PReLU) and len(weight) == 1
        kept = weight if is_for_all else weight[rows]
        if name == "weight" and has_columns:
            kept = kept[:, columns] * (columns >= 0).view(1, -1, *[1] * (kept.dim() - 2))
        setattr(layer, name, nn.Parameter(kept.clone(), requires_grad=weight.requires_grad))
