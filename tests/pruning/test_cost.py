import torch
from torch import Tensor, nn
from torch.nn import functional

from slimline.pruning import cost


def test_counts_of_a_network_worked_out_by_hand() -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2, bias=False), nn.Flatten(), nn.Linear(16, 3)
    )
    with torch.no_grad():
        network[0].weight[0] = 0
    found = cost.count(network, torch.zeros(5, 2, 4, 4))
    assert found.macs == 4 * 2 * 2 * 9 + 16 * 3
    assert found.params == 36 + 48 + 3
    assert (found.weights, found.zeros) == (84, 9)


class Generated(nn.Module):
    """The kernel of each channel is made of a vector; a table of places by a layer of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.seed, self.make = nn.Parameter(torch.randn(8)), nn.Linear(8, 2 * 9)
        self.places, self.embed = nn.Parameter(torch.randn(4, 8)), nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        kernel = self.make(self.seed).view(2, 1, 3, 3)
        maps = functional.conv2d(images, kernel, groups=2)
        return maps.mean((2, 3)) @ self.embed(self.places)[:2]


def test_layers_that_read_no_image_do_all_that_they_do() -> None:
    found = cost.count(Generated(), torch.zeros(5, 2, 4, 4))
    assert {each.name: each.macs for each in found.layers} == {
        "make": 8 * 2 * 9,
        "embed": 4 * 8 * 3,
    }


def test_what_was_frozen_stays_so() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)).train()
    network[1].eval()
    cost.count(network, torch.zeros(2, 2, 4, 4))
    assert network[0].training
    assert not network[1].training
