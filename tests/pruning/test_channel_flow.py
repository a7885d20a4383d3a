"""What networks do with channels: each kind shrinks, and computes what it did with them at zero."""

import copy

import attending
import channelled
import cuts
import flattened
import grouped
import pytest
import tabled
import tied
import torch
import unusual
from splitting import Hierarchical, Mixed, Selective
from torch import Tensor, nn

from slimline.networks import classifier
from slimline.pruning import channel_plan, cost, whole_layers
from slimline.pruning.methods.structured_magnitude import magnitudes

EXAMPLE = torch.zeros(2, 3, 16, 16)


class Grouped(nn.Module):
    """As ResNeXt and RegNet: a grouped convolution between two others; then a multiplier."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 64, 3, groups=4)
        self.c = nn.Conv2d(64, 16, 1)
        self.multiplier, self.head = nn.Conv2d(16, 32, 3, groups=16), nn.Linear(32, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.c(self.b(self.a(images).relu()).relu())
        return self.head(self.multiplier(x).mean((2, 3)))


class Flat(nn.Module):
    """As VGG: maps are flattened with their places."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.pool = nn.Conv2d(3, 32, 3), nn.AdaptiveAvgPool2d(3)
        self.hidden, self.norm = nn.Linear(32 * 9, 40), nn.BatchNorm1d(40)
        self.act, self.head = nn.PReLU(40), nn.Linear(40, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.pool(self.a(images).relu())
        return self.head(self.act(self.norm(self.hidden(x.view(x.size(0), -1)))))


class Concatenated(nn.Module):
    """As DenseNet: BatchNorm in front of layers, of all that came before."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(48, 5)  # defined first
        self.a, self.n = nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.b, self.m = nn.Conv2d(32, 16, 3, padding=1), nn.BatchNorm2d(48)

    def forward(self, images: Tensor) -> Tensor:
        x = self.a(images)
        x = torch.cat([x, self.b(self.n(x).relu())], 1)
        return self.head(self.m(x).relu().amax((2, 3)))


class Gated(nn.Module):
    """A gate of one map, a weight per channel, a difference, a layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.twice = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 32, 3, padding=1)
        self.gate, self.wide = nn.Conv2d(32, 1, 1), nn.Conv2d(32, 64, 1)
        self.scale = nn.Parameter(torch.ones(1, 32, 1, 1))
        self.narrow, self.head = nn.Conv2d(64, 32, 1), nn.Linear(32, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.twice(self.twice(self.a(images)).relu())
        x = x * torch.sigmoid(self.gate(x)) * self.scale
        x = x - self.narrow(nn.functional.gelu(self.wide(x)))
        return self.head(x.mean((2, 3)))


class Attention(nn.Module):
    """Tokens, LayerNorm, attention: what is not followed stays whole; hidden widths go."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 24, 4, stride=4), nn.LayerNorm(24)
        self.qkv, self.out = nn.Linear(24, 72), nn.Linear(24, 24)
        self.up, self.down, self.head = nn.Linear(24, 96), nn.Linear(96, 24), nn.Linear(24, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(images).flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        x = x + self.out(torch.softmax(q @ k.transpose(1, 2), -1) @ v)
        x = x + self.down(nn.functional.gelu(self.up(self.norm(x))))
        return self.head(x.mean(1))


class Ghost(nn.Module):
    """As GhostNet: half of the channels are made of the other half, and added to a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.shortcut = nn.Conv2d(3, 24, 3, padding=1), nn.Conv2d(24, 32, 1)
        self.primary = nn.Conv2d(24, 16, 1)
        self.cheap = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.norm, self.head = nn.BatchNorm2d(32), nn.Linear(32, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.a(images).relu()
        half = self.primary(x).relu()
        whole = torch.cat([half, self.cheap(half)], 1)[:, :32]
        torch._assert(images.shape[2] == 16, "a size that numbers do not have")
        return self.head(self.norm(whole + self.shortcut(x)).relu().mean((2, 3)))


KINDS = [Grouped, Flat, Concatenated, Gated, Attention, Ghost, Mixed, Selective, Hierarchical]
IN_PART = [
    *unusual.KINDS, *flattened.KINDS, *channelled.KINDS, *attending.KINDS, *grouped.KINDS,
    *tabled.KINDS,
]  # fmt: skip


def made(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    network = kind()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_what_stays_computes_what_it_did_before(kind: type[nn.Module]) -> None:
    network, narrow = made(kind), made(kind)
    plan = cuts.plan(narrow, EXAMPLE)
    for group in plan.groups:
        group.remove(group.full_width / 2)
    predicted = plan.predict()
    stayed = plan.apply()
    after = cost.count(narrow, EXAMPLE)
    assert (after.macs, after.params) == (predicted.macs, predicted.params)
    assert after.macs < 0.95 * cost.count(network, EXAMPLE).macs
    cuts.assert_same_with_the_rest_at_zero(network, narrow, stayed, EXAMPLE)


@pytest.mark.parametrize("share", [0.03, 0.3, 0.5, 0.97])
@pytest.mark.parametrize("kind", [*IN_PART, Mixed, Selective, Hierarchical])
def test_what_is_followed_in_part_is_exact_at_any_width(
    kind: type[nn.Module], share: float
) -> None:
    network, narrow = made(kind), made(kind)
    plan = cuts.plan(narrow, EXAMPLE, multiple=1)
    for group in plan.groups:
        group.remove(group.full_width * share)
    predicted = plan.predict()
    stayed = plan.apply()
    assert cost.count(narrow, EXAMPLE).params == predicted.params
    cuts.assert_same_with_the_rest_at_zero(network, narrow, stayed, EXAMPLE)


NARROWED = [flattened.ByPlace, flattened.Tokens, flattened.Normalised, flattened.Plain]


@pytest.mark.parametrize("kind", NARROWED)
def test_flattened_maps_are_narrowed(kind: type[nn.Module]) -> None:
    narrow = made(kind)
    plan = cuts.plan(narrow, EXAMPLE)
    for group in plan.groups:
        group.remove(group.full_width / 2)
    plan.apply()
    assert narrow.head.in_features == 16 * 9


@pytest.mark.parametrize("kind", [*KINDS, *IN_PART])
def test_it_reloads_strictly(kind: type[nn.Module]) -> None:
    network = made(kind)
    plan = cuts.cut(network, EXAMPLE, 0.4)
    tensors, fresh = network.state_dict(), made(kind)
    cuts.write_splits(fresh, plan)
    classifier.fit_shapes(
        fresh, {name: list(each.shape) for name, each in tensors.items()}, EXAMPLE
    )
    fresh.load_state_dict(tensors, strict=True)
    images = torch.randn(3, *EXAMPLE.shape[1:])
    assert torch.equal(fresh(images), network(images))


def test_the_last_group_of_a_convolution_is_cut_as_any_other() -> None:
    network, fresh = made(Grouped), made(Grouped)
    for _ in range(3):
        before, plan = copy.deepcopy(network), cuts.plan(network, EXAMPLE)
        for group in plan.groups:
            group.remove(group.full_width * 0.6)
        cuts.assert_same_with_the_rest_at_zero(before, network, plan.apply(), EXAMPLE)
    assert network.b.groups == 1
    assert network.b.in_channels < 8
    tensors = network.state_dict()
    classifier.fit_shapes(
        fresh, {name: list(each.shape) for name, each in tensors.items()}, EXAMPLE
    )
    fresh.load_state_dict(tensors, strict=True)
    images = torch.randn(3, *EXAMPLE.shape[1:])
    assert torch.equal(fresh(images), network(images))


def test_groups_of_a_convolution_go_whole() -> None:
    network = made(Grouped)
    cuts.cut(network, EXAMPLE, 0.4)
    assert (network.b.groups, network.b.in_channels, network.b.out_channels) == (2, 16, 32)
    assert network.b.weight.shape[1] == 8


@pytest.mark.parametrize(
    ("kind", "whole"),
    [
        (Grouped, ""),
        (Flat, ""),
        (Concatenated, ""),
        (Gated, "a, twice, gate, narrow (*)"),
        (Attention, "patches, out, down (LayerNorm at norm); qkv (@)"),
        (Ghost, ""),
        (Mixed, ""),
        (Selective, ""),
    ],
)
def test_what_keeps_its_width_is_named_with_what_fixes_it(
    kind: type[nn.Module], whole: str
) -> None:
    network = made(kind)
    plan = channel_plan.ChannelPlan(network, EXAMPLE, magnitudes(network), multiple=4)
    assert whole_layers.told(plan.whole) == whole


def test_a_width_in_the_code_stays_as_it_is() -> None:
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 16, 1)
            self.head = nn.Linear(16, 5)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.b(self.a(images)).mean((2, 3)).view(-1, 16))

    network = Written().eval()
    before = copy.deepcopy(network)
    cuts.cut(network, EXAMPLE, 0.5)
    assert network.a.out_channels < before.a.out_channels
    assert network.b.out_channels == before.b.out_channels
    assert network(EXAMPLE).shape == (2, 5)


def test_a_split_written_into_the_code_stays_whole_and_the_rest_is_cut() -> None:
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 32, 3), nn.Conv2d(32, 16, 1)
            self.c, self.head = nn.Conv2d(8, 16, 1), nn.Linear(16, 5)

        def forward(self, images: Tensor) -> Tensor:
            one, two = torch.split(self.b(self.a(images)), 8, 1)
            return self.head(self.c(one * two).mean((2, 3)))

    network = Written().eval()
    plan = cuts.cut(network, EXAMPLE, 0.5)
    assert cuts.names_of_whole(plan) == ["b"]
    assert plan.split_widths == {}
    widths = [each.out_channels for each in (network.a, network.b, network.c)]
    assert widths == [16, 16, 8]
    assert network(EXAMPLE).shape == (2, 5)


def test_a_split_follows_its_channels_round_after_round() -> None:
    network = made(Mixed)
    for _ in range(2):
        plan = cuts.cut(network, EXAMPLE, 0.3)
    assert sum(network.splits) == network.a.out_channels < 20
    assert network.splits == [network.small.in_channels, network.large.in_channels]
    assert plan.split_widths == {"": {"splits": network.splits}}
    network = made(Selective)
    plan = cuts.cut(network, EXAMPLE, 0.3, multiple=1)
    assert plan.split_widths == {"": {"channels": network.a.out_channels}}
    assert network.a.out_channels == 22  # as many for each path
    assert network.select.out_channels == 2 * network.paths[0].out_channels


def test_a_mean_over_channels_keeps_them() -> None:
    class Averaging(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.head = nn.Conv2d(3, 16, 3), nn.Conv2d(3, 16, 3), nn.Linear(8, 5)

        def forward(self, images: Tensor) -> Tensor:
            folded = self.a(images).unflatten(1, (2, 8))
            x = self.b(images).view(images.size(0), 4, -1, 14, 14).mean(2).mean((1, 2, 3))
            return self.head(folded.sum(1).mean((2, 3))) + x.view(-1, 1)

    network = Averaging().eval()
    assert cuts.plan(network, EXAMPLE).groups == []


class PutBack(nn.Module):
    """Rows are put back into maps by sizes of before, so that two layers must make as much."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.rows = nn.Conv2d(3, 32, 3, padding=1), nn.Linear(32, 32)
        self.b, self.head = nn.Conv2d(32, 16, 1), nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.a(images).relu()
        rows = self.rows(maps.flatten(2).transpose(1, 2))
        maps = rows.transpose(1, 2).reshape(maps.shape).relu()
        return self.head(self.b(maps).relu().mean((2, 3)))


def test_widths_that_are_the_same_by_chance_stay_so() -> None:
    plan = cuts.plan(made(PutBack), EXAMPLE)
    assert cuts.names_of_whole(plan) == ["a", "rows"]
    assert [*plan.groups[0].layers] == ["b"]


def test_layers_that_are_not_cut_go_on_sharing_a_weight() -> None:
    network = tied.Weights().eval()
    cuts.cut(network, EXAMPLE, 0.5)
    assert network.b.out_channels < 16
    assert network.there.weight is network.back.weight


def test_a_layer_of_two_halves_keeps_twice_the_width() -> None:
    network = made(Ghost)
    cuts.cut(network, EXAMPLE, 0.4)
    assert network.primary.out_channels < 16
    assert network.shortcut.out_channels == 2 * network.primary.out_channels


@pytest.mark.parametrize(
    ("kind", "whole"),
    [
        (unusual.Padded, []),
        (unusual.PaddedByOnes, ["stem"]),
        (unusual.PaddedChannels, ["stem"]),
        (unusual.Expanded, ["place"]),
        (unusual.Halved, []),
        (unusual.Masked, []),
        (unusual.Positioned, ["stem"]),
        (unusual.Asking, []),
        (unusual.Activated, []),
        (unusual.Instances, []),
        (unusual.InstancesOfRows, ["stem"]),
        *tabled.WHOLE.items(),
    ],
)
def test_what_the_code_between_layers_does_is_followed(
    kind: type[nn.Module], whole: list[str]
) -> None:
    assert cuts.names_of_whole(cuts.plan(made(kind), EXAMPLE)) == whole


class Deciding(nn.Module):
    """A part that decides by the values that it is given, which has no graph."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(16, 16, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        return self.inner(maps) if maps.mean() > -1e9 else maps


def test_a_part_without_a_graph_stays_whole_and_the_rest_is_cut() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 16, 1), Deciding(), Deciding(),
        nn.Conv2d(16, 32, 1), nn.ReLU(), nn.Conv2d(32, 8, 1), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 5),
    ).eval()  # fmt: skip
    narrow = copy.deepcopy(network)
    plan = cuts.plan(narrow, EXAMPLE)
    assert cuts.names_of_whole(plan) == ["2", "3.inner", "4.inner"]
    for group in plan.groups:
        group.remove(group.full_width / 2)
    predicted = plan.predict()
    plan.apply()
    assert [narrow[each].out_channels for each in (0, 2, 5, 7)] == [16, 16, 16, 4]
    assert cost.count(narrow, EXAMPLE).macs == predicted.macs
    assert narrow(EXAMPLE).shape == (2, 5)


class Remembering(nn.Module):
    """As timm's LeViT: what it computed once when it answers, it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.head = nn.Conv2d(3, 16, 3), nn.Linear(16, 5)
        self.biases = nn.Parameter(torch.ones(4))
        self.attention_bias_cache: dict[str, Tensor] = {}

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            bias = self.biases[2]
        else:
            if "cpu" not in self.attention_bias_cache:
                self.attention_bias_cache["cpu"] = self.biases[2]
            bias = self.attention_bias_cache["cpu"]
        return self.head(self.a(images).mean((2, 3))) + bias


def test_a_network_remembers_nothing_of_being_followed() -> None:
    network = Remembering().eval()
    cuts.cut(network, EXAMPLE, 0.4)
    assert all(type(each) is Tensor for each in network.attention_bias_cache.values())
    assert not network.training
    assert network(EXAMPLE).shape == (2, 5)


def test_groups_that_are_normalised_together_go_whole() -> None:
    network = made(grouped.Residual)
    plan = cuts.plan(network, EXAMPLE, multiple=1)
    assert [(group.layers, group.multiple) for group in plan.groups] == [
        (["a", "c"], 4),
        (["b"], 6),
    ]
    plan.groups[0].width, plan.groups[1].width = 20, 18
    plan.apply()
    assert (network.norm.num_groups, network.norm.num_channels) == (5, 20)
    assert (network.other.num_groups, network.other.num_channels) == (3, 18)
    assert plan.split_widths["other"] == {"num_groups": 3, "num_channels": 18}


def test_channels_that_are_normalised_by_themselves_go_one_by_one() -> None:
    network = made(unusual.Instances)
    plan = cuts.plan(network, EXAMPLE, multiple=1)
    assert [group.layers for group in plan.groups] == [["stem"], ["one.1"], ["two.2"], ["out"]]
    for group in plan.groups:
        group.width = 10
    plan.apply()
    assert [network.one[0].num_features, network.two[0].num_features] == [10, 10]
    assert len(network.last.running_var) == len(network.last.weight) == 10
    assert plan.split_widths["two.0"] == {"num_features": 10}


def test_one_group_of_all_channels_keeps_them() -> None:
    network = made(grouped.Residual)
    network.norm = nn.GroupNorm(1, 32)
    plan = cuts.plan(network, EXAMPLE, multiple=1)
    assert [group.layers for group in plan.groups] == [["b"]]
    assert cuts.names_of_whole(plan) == ["a", "c"]


def test_parts_of_a_split_keep_the_width_of_the_layers_that_they_meet() -> None:
    network = made(Hierarchical)
    plan = cuts.plan(network, EXAMPLE, multiple=1)
    assert [group.layers for group in plan.groups] == [
        ["a", "c"],
        ["wide", "convs.0", "convs.1"],
        ["convs.2"],
    ]
    assert cuts.names_of_whole(plan) == []
    plan.groups[1].width = 5
    plan.apply()
    assert (network.width, network.wide.out_channels, network.convs[1].out_channels) == (5, 20, 5)


@pytest.mark.parametrize(
    ("kind", "narrowed"),
    [(grouped.Halved, []), (grouped.Shuffled, [["b"]]), (grouped.Viewed, [["a"]])],
)
def test_groups_that_are_parted_stay(kind: type[nn.Module], narrowed: list[list[str]]) -> None:
    assert [each.layers for each in cuts.plan(made(kind), EXAMPLE).groups] == narrowed
