import copy

import cuts
import pytest
import torch
from torch import nn

from slimline.pruning import cost, widths
from slimline.pruning.single_weights import WeightPlan
from slimline.pruning.widths import Progress

EXAMPLE = torch.zeros(2, 1, 8, 8)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten(), nn.Linear(288, 4))


def cut(model: nn.Module, threshold: float, **changes: object) -> None:
    plan = WeightPlan(model, EXAMPLE)
    settings = cuts.settings("magnitude", threshold=threshold, **changes)
    widths.choose(plan, settings, Progress(1, 1, cost.count(model, EXAMPLE)), cuts.NO_TABLES)
    plan.apply()


def test_the_smallest_weights_go_first() -> None:
    model = network()
    before = model[0].weight.detach().clone()
    cut(model, 0.3)
    gone = model[0].weight == 0
    assert before[gone].abs().max() < before[~gone].abs().min()
    assert 0.2 * before.abs().sum() < before[gone].abs().sum() <= 0.3 * before.abs().sum()
    assert torch.equal(model[0].weight[~gone], before[~gone])


@pytest.mark.parametrize("unit", ["layer_share", "global_share", "relative", "absolute"])
def test_more_prunes_more_and_zero_nothing(unit: str) -> None:
    zeros = []
    for threshold in (0, 0.05, 0.1, 0.2, 0.5):
        model = network()
        cut(model, threshold, unit=unit)
        zeros.append(cost.count(model, EXAMPLE).sparsity)
    assert zeros[0] == 0
    assert zeros == sorted(zeros)
    assert zeros[0] < zeros[1] < zeros[2]


def test_absolute_is_the_classic_recipe() -> None:
    model = network()
    before = model[2].weight.detach().clone()
    cut(model, 0.03, unit="absolute")
    assert torch.equal(model[2].weight == 0, before.abs() < 0.03)


def test_relative_is_absolute_in_means_of_the_layer() -> None:
    model = network()
    before = model[2].weight.detach().double().abs()
    cut(model, 0.5, unit="relative")
    assert torch.equal(model[2].weight == 0, before < 0.5 * before.mean())


def test_a_global_share_takes_more_where_more_is_small() -> None:
    model = network()
    with torch.no_grad():
        model[2].weight[:, :200] *= 0.001  # most of the layer next to nothing, the rest as it was
    cut(model, 0.005, unit="global_share")
    zeros = [float((layer.weight == 0).float().mean()) for layer in (model[0], model[2])]
    assert zeros[1] > 0.6 > zeros[0]


def test_a_target_of_parameters_is_met() -> None:
    model = network()
    before = cost.count(model, EXAMPLE).nonzero_params
    cut(model, 0.0, target={"params": 0.4})
    assert cost.count(model, EXAMPLE).nonzero_params == pytest.approx(0.4 * before, rel=0.01)


def test_biases_and_batchnorm_are_left_alone() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    before = copy.deepcopy(model.state_dict())
    cut(model, 0.5)
    changed = [
        name for name, tensor in model.state_dict().items() if not tensor.equal(before[name])
    ]
    assert changed == ["0.weight"]
