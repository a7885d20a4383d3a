import copy

import torch
from torch import nn

from slimline.pruning import cost
from slimline.pruning.magnitude import Magnitude

METHOD = Magnitude.model_construct(method="magnitude")
EXAMPLE = torch.zeros(2, 1, 8, 8)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten(), nn.Linear(288, 4))


def test_the_smallest_weights_go_first() -> None:
    model = network()
    before = model[0].weight.detach().clone()
    METHOD.cut(model, EXAMPLE, 0.3)
    gone = model[0].weight == 0
    assert before[gone].abs().max() < before[~gone].abs().min()
    assert before[gone].abs().sum() <= 0.3 * before.abs().sum()
    assert torch.equal(model[0].weight[~gone], before[~gone])


def test_more_prunes_more_and_zero_nothing() -> None:
    zeros = []
    for share in (0, 0.05, 0.1, 0.2, 0.5):
        model = network()
        METHOD.cut(model, EXAMPLE, share)
        zeros.append(cost.count(model, EXAMPLE).sparsity)
    assert zeros[0] == 0
    assert zeros == sorted(set(zeros))


def test_biases_and_batchnorm_are_left_alone() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    before = copy.deepcopy(model.state_dict())
    METHOD.cut(model, EXAMPLE, 0.5)
    changed = [
        name for name, tensor in model.state_dict().items() if not tensor.equal(before[name])
    ]
    assert changed == ["0.weight"]
