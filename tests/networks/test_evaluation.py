import pytest
import torch
from torch import nn

from slimline.networks.evaluation import evaluating


@pytest.mark.parametrize("is_training", [True, False])
def test_each_module_is_put_back_into_its_own_mode(is_training: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout()).train(is_training)
    network[1].eval()
    with evaluating(network):
        assert not any(each.training for each in network.modules())
    modes = [each.training for each in network.modules()]
    assert modes == [is_training, is_training, False, is_training]


def test_so_it_is_after_a_failure() -> None:
    network = nn.Conv2d(3, 4, 1).train()
    with pytest.raises(RuntimeError), evaluating(network):
        network(torch.zeros(2, 5, 4, 4))
    assert network.training


class Remembering(nn.Module):
    """Forgets what it computed of its weights when it is trained, as LeViT does."""

    remembers = False

    def train(self, mode: bool = True) -> "Remembering":
        self.remembers = self.remembers and not mode
        super().train(mode)
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.remembers = True
        return images


def test_what_a_network_does_when_it_is_trained_again_is_done() -> None:
    network = Remembering().train()
    with evaluating(network):
        network(torch.zeros(1))
        assert network.remembers
    assert not network.remembers
