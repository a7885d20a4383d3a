import torch
from torch import nn

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


def test_what_was_frozen_stays_so() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)).train()
    network[1].eval()
    cost.count(network, torch.zeros(2, 2, 4, 4))
    assert network[0].training
    assert not network[1].training
