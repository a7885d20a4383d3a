import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from slimline.backbones import REGISTRY, Architecture
from slimline.core import classifier
from slimline.pruning import cost
from slimline.pruning.structured_magnitude import StructuredMagnitude

EXAMPLE = torch.zeros(2, 1, 28, 28)
NETWORKS = {name: classifier.make(Architecture(name, 10, 1, 1, 3)).eval() for name in REGISTRY}
METHOD = StructuredMagnitude.model_construct(method="structured_magnitude", channel_multiple=4)


@pytest.mark.parametrize("name", REGISTRY)
@given(share=st.floats(0.01, 0.85))
@settings(max_examples=4, deadline=None, derandomize=True)
def test_every_backbone_shrinks_runs_and_reloads(name: str, share: float) -> None:
    network = copy.deepcopy(NETWORKS[name])
    before = cost.count(network, EXAMPLE)
    METHOD.cut(network, EXAMPLE, share)
    after = cost.count(network, EXAMPLE)
    assert after.macs <= before.macs
    assert all(weight.numel() for weight in network.parameters())
    images = torch.randn(7, 1, 28, 28)
    expected = network(images)
    tensors = network.state_dict()
    fresh = classifier.make(Architecture(name, 10, 1, 1, 3))
    classifier.fit_shapes(fresh, {key: tensor.shape for key, tensor in tensors.items()})
    fresh.load_state_dict(tensors, strict=True)
    assert torch.equal(fresh.eval()(images), expected)
    assert fresh(images[:1]).shape == (1, 10)


@pytest.mark.parametrize("name", REGISTRY)
def test_more_prunes_more_and_zero_nothing(name: str) -> None:
    macs = []
    for share in (0, 0.1, 0.2, 0.3, 0.5):
        network = copy.deepcopy(NETWORKS[name])
        METHOD.cut(network, EXAMPLE, share)
        macs.append(cost.count(network, EXAMPLE).macs)
    assert macs[0] == cost.count(NETWORKS[name], EXAMPLE).macs
    assert macs == sorted(macs, reverse=True)
    assert len(set(macs)) == len(macs)


@pytest.mark.parametrize("name", REGISTRY)
def test_dead_channels_leave_the_function_as_it_is(name: str) -> None:
    """Channels that are made zero by hand can be cut without changing any output."""
    from slimline.pruning import channels

    torch.manual_seed(0)
    network = copy.deepcopy(NETWORKS[name])
    groups = channels.find_groups(network, EXAMPLE)
    for group in groups:
        dead = torch.arange(len(group.rows)) % 3 == 0
        group.keep(~dead)
        for port in group.ports:
            stays = torch.isin(port.outputs, group.rows[dead])
            if torch.isin(group.rows, port.outputs).all():
                with torch.no_grad():
                    port.layer.weight[stays] = 0
                    if port.layer.bias is not None:
                        port.layer.bias[stays] = 0
    images = torch.randn(3, 1, 28, 28)
    expected = network(images)
    channels.remove(groups)
    assert torch.allclose(network(images), expected, atol=1e-4)


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

    from slimline.pruning import channels

    groups = channels.find_groups(Residual(), EXAMPLE)
    assert [(len(group.rows), len(group.ports)) for group in groups] == [(6, 3)]
