import channelled
import cuts
import pytest
import torch
from torch import Tensor, nn

from slimline.pruning import channel_modules
from slimline.pruning.channel_modules import ChannelModule

EXAMPLE = torch.zeros(2, 3, 16, 16)


class OverChannels(nn.Module):
    """Weighs all channels against each other."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        return (maps * self.weight).softmax(1)


class OverPlaces(nn.Module):
    """Has a weight for each place."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, 8, 1))

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.weight


class Written(nn.Module):
    """Has its width in its code."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.weight.view(1, 8, 1, 1)


class Particular(nn.Module):
    """Refuses what it was not made for."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        assert maps.shape[1:] == (8, 6, 6)
        return maps * self.weight


class Counting(nn.Module):
    """Keeps more than weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8, 1, 1))
        self.register_buffer("mean", torch.zeros(8, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.weight + self.mean


@pytest.mark.parametrize(
    ("module", "found"),
    [
        (channelled.Response(8), ChannelModule(8, -1, ("gamma",))),
        (channelled.Gain(8), ChannelModule(8, -3, ())),
        (OverChannels(), None),
        (OverPlaces(), None),
        (Written(), None),
        (Particular(), None),
        (Counting(), None),
        (nn.LayerNorm(8), None),
        (nn.BatchNorm2d(8), None),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_goes_by_channel_is_found_by_trial(
    module: nn.Module, found: ChannelModule | None
) -> None:
    before = {name: weight.clone() for name, weight in module.named_parameters()}
    assert channel_modules.find(nn.Sequential(module)) == ({} if found is None else {"0": found})
    assert all(torch.equal(weight, before[name]) for name, weight in module.named_parameters())


def test_a_mean_over_channels_grows_with_their_loss() -> None:
    torch.manual_seed(0)
    network = channelled.Responding().eval()
    gamma = network.response.gamma.detach().flatten()
    plan = cuts.plan(network, EXAMPLE)
    assert [group.layers for group in plan.groups] == [["wide"]]
    plan.groups[0].width = 20
    rows = plan.apply()["response"]
    assert torch.equal(network.response.gamma.flatten(), 2 * gamma[rows])


@pytest.mark.parametrize(
    ("kind", "narrowed"),
    [
        (channelled.Responding, ["wide"]),
        (channelled.Gained, ["a", "c"]),
        (channelled.GatedPart, ["wide"]),
    ],
)
def test_round_after_round(kind: type[nn.Module], narrowed: list[str]) -> None:
    torch.manual_seed(0)
    network = kind().eval()
    for _ in range(2):
        before = [len(network.get_submodule(name).weight) for name in narrowed]
        cuts.cut(network, EXAMPLE, 0.3, multiple=1)
        after = [len(network.get_submodule(name).weight) for name in narrowed]
        assert all(one < other for one, other in zip(after, before, strict=True))
    assert network(EXAMPLE).shape == (2, 5)
