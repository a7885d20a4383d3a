import copy
import functools
from dataclasses import replace

import cuts
import entries
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from slimline.networks import classifier
from slimline.networks.architecture import Architecture
from slimline.pruning import cost, widths

EXAMPLE = torch.zeros(2, 1, 28, 28)


@functools.lru_cache(maxsize=1)
def original(name: str) -> nn.Module:
    """Return a network, built once for all tests of its name; to be copied."""
    return classifier.make(Architecture(name, 10, 1, 1, 3)).eval()


@pytest.mark.parametrize("name", entries.ALL)
@given(share=st.floats(0.01, 0.85))
@settings(max_examples=3, deadline=None, derandomize=True)
def test_every_backbone_shrinks_runs_and_reloads(name: str, share: float) -> None:
    network = copy.deepcopy(original(name))
    before = cost.count(network, EXAMPLE)
    plan = cuts.plan(network, EXAMPLE)
    for group in plan.groups:
        widths.remove_share(group, share)
    predicted = plan.predict()
    plan.apply()
    after = cost.count(network, EXAMPLE)
    assert [replace(layer, zeros=0) for layer in after.layers] == predicted.layers
    assert after.params == predicted.params
    assert after.macs <= before.macs
    assert all(weight.numel() for weight in network.parameters())
    images = torch.randn(7, 1, 28, 28)
    expected = network(images)
    tensors = network.state_dict()
    fresh = classifier.make(Architecture(name, 10, 1, 1, 3))
    classifier.fit_shapes(fresh, {key: tensor.shape for key, tensor in tensors.items()}, EXAMPLE)
    fresh.load_state_dict(tensors, strict=True)
    assert torch.equal(fresh.eval()(images), expected)
    assert fresh(images[:1]).shape == (1, 10)


@pytest.mark.parametrize("name", entries.ALL)
def test_more_prunes_more(name: str) -> None:
    macs = [cost.count(original(name), EXAMPLE).macs]
    for share in (0.1, 0.3):
        network = copy.deepcopy(original(name))
        cuts.cut(network, EXAMPLE, share)
        macs.append(cost.count(network, EXAMPLE).macs)
    assert macs == sorted(macs, reverse=True)
    assert len(set(macs)) == len(macs)


@pytest.mark.parametrize("name", entries.ALL)
def test_share_0_is_the_identity(name: str) -> None:
    network = copy.deepcopy(original(name))
    cuts.cut(network, EXAMPLE, 0)
    tensors = original(name).state_dict()
    assert all(torch.equal(value, tensors[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", entries.ALL)
def test_what_stays_computes_what_it_did_before(name: str) -> None:
    """A narrowed network equals the original with the removed channels made zero."""
    torch.manual_seed(0)
    narrow = copy.deepcopy(original(name))
    plan = cuts.plan(narrow, EXAMPLE)
    for group in plan.groups:
        group.width = group.width // 2
    stayed = plan.apply()
    network = copy.deepcopy(original(name))
    for layer, rows in stayed.items():
        module = network.get_submodule(layer)
        gone = torch.ones(len(module.weight), dtype=torch.bool)
        gone[rows] = False
        with torch.no_grad():
            module.weight[gone] = 0
            if module.bias is not None:
                module.bias[gone] = 0
    images = torch.randn(3, 1, 28, 28)
    assert cost.count(narrow, EXAMPLE).macs < 0.5 * cost.count(network, EXAMPLE).macs
    assert torch.allclose(narrow(images), network(images), atol=1e-4)


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "shufflenet_v2_x1_0"])
def test_channels_that_a_unit_hands_on_are_removed_too(name: str) -> None:
    network = copy.deepcopy(original(name))
    cuts.cut(network, EXAMPLE, 0.5)
    before, after = (
        {key: len(each.weight) for key, each in net.named_modules() if hasattr(each, "weight")}
        for net in (original(name), network)
    )
    assert [key for key in before if after[key] == before[key]] == ["fc"]


def test_where_too_few_went_one_way_others_take_their_place() -> None:
    """Narrower, the first reader gets three channels, of which it read two before."""

    class Uneven(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.maker = nn.Conv2d(1, 12, 1)
            self.first, self.second = nn.Conv2d(2, 4, 1), nn.Conv2d(10, 4, 1)
            self.head = nn.Linear(8, 2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            made = self.maker(images)
            border = 24 // made.shape[1]
            parts = self.first(made[:, :border]), self.second(made[:, border:])
            return self.head(torch.cat(parts, 1).mean([2, 3]))

    network = Uneven()
    plan = cuts.plan(network, EXAMPLE)
    assert [list(group.layers) for group in plan.groups] == [["maker"], ["first"], ["second"]]
    plan.groups[0].width = 8
    plan.apply()
    unread = [
        int((layer.weight == 0).all(dim=0).sum()) for layer in (network.first, network.second)
    ]
    assert (network.first.in_channels, network.second.in_channels) == (3, 5)
    assert unread == [1, 0]
    assert network(torch.randn(3, 1, 5, 5)).shape == (3, 2)


def test_a_residual_stream_is_cut_as_one() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Conv2d(1, 6, 3, padding=1)
            self.two = nn.Conv2d(6, 6, 3, padding=1)
            self.head = nn.Linear(6, 2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            images = self.one(images)
            return self.head((images + self.two(images)).mean([2, 3]))

    network = Residual()
    (group,) = cuts.plan(network, EXAMPLE).groups
    assert (list(group.layers), group.width) == (["one", "two"], 6)


def test_what_cannot_be_followed_stays_whole_and_is_named() -> None:
    class Unknown(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.head = nn.Conv2d(1, 6, 3), nn.Linear(6, 2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.head(torch.fft.fft(self.one(images)).real.mean([2, 3]))

    plan = cuts.plan(Unknown(), EXAMPLE)
    assert (cuts.names_of_whole(plan), plan.groups) == (["one"], [])
