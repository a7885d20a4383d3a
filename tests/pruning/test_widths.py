import copy
import functools
import itertools
from dataclasses import replace
from math import nan
from typing import Any

import cuts
import pytest
import torch
from torch import nn

from slimline.errors import ParamsError
from slimline.networks import classifier
from slimline.networks.architecture import Architecture
from slimline.networks.registry import REGISTRY
from slimline.pruning import cost, widths
from slimline.pruning.groups import Group
from slimline.pruning.layer_times import LayerTimes
from slimline.pruning.sensitivity_table import GroupSensitivity, SensitivityScan
from slimline.pruning.widths import Progress, PruningTables

EXAMPLE = torch.zeros(2, 1, 28, 28)
SMALL = "resnet8_w48"
"""For what is the same whatever the network: six groups are soon tried in all widths."""


@functools.lru_cache(maxsize=3)
def original(name: str) -> nn.Module:
    torch.manual_seed(0)
    return classifier.make(Architecture(name, 10, 1, 1, 3)).eval()


def pruned(
    name: str, tables: PruningTables = cuts.NO_TABLES, **changes: Any
) -> tuple[nn.Module, float]:
    """Return the pruned network, and the share of the MACs that are left."""
    network = copy.deepcopy(original(name))
    before = cost.count(network, EXAMPLE)
    settings = cuts.settings("structured_magnitude", **changes)
    plan = cuts.plan(network, EXAMPLE, settings.channel_multiple)
    widths.choose(plan, settings, Progress(1, 1, before), tables)
    plan.apply()
    return network, cost.count(network, EXAMPLE).macs / before.macs


QUICK = {
    ("mobilenet_v3_small", 0.75),
    ("mobilenet_v4_conv_small", 0.3),
    ("shufflenet_v2_x1_0", 0.5),
}


@pytest.mark.parametrize(
    ("name", "share"),
    [
        pytest.param(*each, marks=() if each in QUICK else pytest.mark.slow)
        for each in itertools.product(REGISTRY, (0.75, 0.5, 0.3))
    ],
)
def test_every_backbone_meets_a_target_within_two_percent(name: str, share: float) -> None:
    _, left = pruned(name, target={"macs": share}, channel_multiple=16)
    assert left == pytest.approx(share, rel=0.02)


def test_a_target_of_parameters_is_met() -> None:
    network, _ = pruned(SMALL, target={"params": 0.5})
    before = cost.count(original(SMALL), EXAMPLE)
    assert cost.count(network, EXAMPLE).params == pytest.approx(0.5 * before.params, rel=0.02)


def made_up_times(name: str) -> LayerTimes:
    """Return times in which the first half of a layer's work costs a tenth of its time."""
    layers = cost.count(original(name), EXAMPLE).layers
    curves = {
        layer.name: [(0, 0.0), (layer.macs / 2, 0.1 * layer.macs), (layer.macs, layer.macs)]
        for layer in layers
    }
    return LayerTimes("none", curves, [(0, 0.0), (1, 0.0)])


def test_a_target_of_latency_is_met_by_the_table() -> None:
    times = made_up_times(SMALL)
    tables = replace(cuts.NO_TABLES, times=times)
    network, macs = pruned(SMALL, tables, target={"latency": 0.5})
    before, after = (
        times.microseconds(cost.count(each, EXAMPLE)) for each in (original(SMALL), network)
    )
    assert after == pytest.approx(0.5 * before, rel=0.02)
    assert macs > 0.6, "half of the time is not half of the work"


def test_times_of_nan_meet_no_target() -> None:
    times = made_up_times(SMALL)
    broken = {name: [(at, nan) for at, _ in curve] for name, curve in times.layers.items()}
    tables = replace(cuts.NO_TABLES, times=replace(times, layers=broken))
    with pytest.raises(ParamsError, match=r"prune.target.latency: the nearest .* is nan times"):
        pruned(SMALL, tables, target={"latency": 0.5})


def test_times_of_another_network_are_refused() -> None:
    tables = replace(cuts.NO_TABLES, times=made_up_times("shufflenet_v2_x1_0"))
    with pytest.raises(ParamsError, match=r"another network: layer .*benchmarks\.layer_times"):
        pruned("shufflenet_v2_x0_5", tables, target={"latency": 0.5})


def test_rounds_approach_a_target_in_equal_ratios() -> None:
    network = copy.deepcopy(original(SMALL))
    before = cost.count(network, EXAMPLE)
    settings = cuts.settings("structured_magnitude", target={"macs": 0.36}, steps=2)
    left = []
    for number in (1, 2):
        plan = cuts.plan(network, EXAMPLE)
        widths.choose(plan, settings, Progress(number, 2, before), cuts.NO_TABLES)
        plan.apply()
        left.append(cost.count(network, EXAMPLE).macs / before.macs)
    assert left == pytest.approx([0.6, 0.36], rel=0.02)


def test_a_target_out_of_reach_is_refused_with_what_can_be_reached() -> None:
    with pytest.raises(ParamsError, match=r"target\.macs.*times what is asked for.*multiple"):
        pruned(SMALL, target={"macs": 0.3}, channel_multiple=256)


@pytest.mark.parametrize("asked", [{"threshold": 0.4}, {"target": {"macs": 0.7}}])
def test_a_layer_can_be_spared_or_limited(asked: dict[str, Any]) -> None:
    limits = {"layer2.*": 0.0, "layer4.0.conv1": 0.05}
    network, _ = pruned("resnet10", layers=limits, channel_multiple=4, **asked)
    whole, _ = pruned("resnet10", channel_multiple=4, **asked)
    made = [
        name
        for group in cuts.plan(original("resnet10"), EXAMPLE).groups
        for name in group.layers
        if name.startswith("layer2.")
    ]
    assert made
    for name in made:
        before, after, cut = (
            len(net.get_submodule(name).weight) for net in (original("resnet10"), network, whole)
        )
        assert cut < before == after
    last = [len(net.get_parameter("layer4.0.conv1.weight")) for net in (whole, network)]
    assert last[0] < last[1] < 512


def test_a_pattern_that_fits_nothing_is_refused_with_the_names_that_would() -> None:
    with pytest.raises(ParamsError, match=r"prune\.layers: 'stage9\.\*' .*conv5\.0"):
        pruned("shufflenet_v2_x0_5", layers={"stage9.*": 0.1})


@pytest.mark.parametrize(
    ("unit", "thresholds"),
    [
        ("layer_share", (0.0, 0.3, 0.6, 0.9)),
        ("global_share", (0.0, 0.3, 0.6, 0.9)),
        ("relative", (0.0, 0.95, 1.0, 1.05)),
    ],
)
def test_each_unit_is_monotone(unit: str, thresholds: tuple[float, ...]) -> None:
    left = [pruned(SMALL, unit=unit, threshold=threshold)[1] for threshold in thresholds]
    assert left[0] == 1
    assert left == sorted(left, reverse=True)
    assert left[-1] < 0.6


def test_auto_spares_what_the_scan_calls_tender() -> None:
    groups = cuts.plan(original("shufflenet_v2_x0_5"), EXAMPLE).groups
    tender = " ".join(groups[3].layers)
    rows = [
        GroupSensitivity(" ".join(group.layers), share, 0.0, lost * times, lost)
        for group, times in ((each, 40 if each is groups[3] else 1) for each in groups)
        for share, lost in ((0.2, 0.5), (0.6, 3.0))
    ]
    tables = replace(cuts.NO_TABLES, scan=SensitivityScan(rows))
    network, _ = pruned(
        "shufflenet_v2_x0_5", tables, rates="auto", threshold=0.3, channel_multiple=1
    )
    plain, _ = pruned("shufflenet_v2_x0_5", threshold=0.3, channel_multiple=1)
    name = f"{tender.split(' ')[0]}.weight"
    other = f"{groups[5].layers[0]}.weight"
    assert len(network.get_parameter(name)) > len(plain.get_parameter(name))
    assert len(network.get_parameter(other)) <= len(plain.get_parameter(other))


def test_widths_go_to_the_nearest_multiple_and_never_to_nothing() -> None:
    group = Group(["a"], torch.rand(1, 58, dtype=torch.float64), multiple=16)
    found = []
    for count in (0, 0.5, 3, 17, 30, 58):
        group.remove(count)
        found.append(group.width)
    assert found == [58, 58, 48, 48, 32, 16]
    steps = []
    for direction in (1, 1, 1, 1, -1, -1, -1, -1):
        group.step(direction)
        steps.append(group.width)
    assert steps == [32, 48, 58, 58, 48, 32, 16, 16]


WIDE = "2"
"""The layer of `wide` with so many channels that one more or less is less than a percent."""


@functools.lru_cache
def wide() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 64, 3, stride=2), nn.ReLU(), nn.Conv2d(64, 1024, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 10),
    ).eval()  # fmt: skip


def in_rounds(settings: Any, tables: PruningTables, rounds: int) -> nn.Module:
    """Return the network pruned in so many rounds, as it is: nothing is recovered."""
    network = copy.deepcopy(wide())
    before = cost.count(network, EXAMPLE)
    for number in range(1, rounds + 1):
        plan = cuts.plan(network, EXAMPLE, 1)
        widths.choose(plan, settings, Progress(number, rounds, before), tables)
        plan.apply()
    return network


def test_a_limit_is_of_all_rounds_together() -> None:
    """0.1 with five rounds removed 41 %."""
    limited = {"threshold": 0.9, "layers": {"*": 0.1}, "channel_multiple": 1}
    left = [
        len(
            in_rounds(
                cuts.settings("structured_magnitude", steps=rounds, **limited),
                cuts.NO_TABLES,
                rounds,
            ).get_parameter(f"{WIDE}.weight")
        )
        for rounds in (1, 5)
    ]
    assert left[0] < 1024
    assert left[1] == pytest.approx(left[0], rel=0.01)


def test_rates_by_a_scan_are_of_all_rounds_together() -> None:
    groups = cuts.plan(wide(), EXAMPLE).groups
    rows = [
        GroupSensitivity(" ".join(group.layers), share, 0.0, lost, lost)
        for group in groups
        for share, lost in ((0.1, 0.1), (0.6, 9.0))
    ]
    tables = replace(cuts.NO_TABLES, scan=SensitivityScan(rows))
    left = [
        len(
            in_rounds(
                cuts.settings(
                    "structured_magnitude", rates="auto", threshold=0.4, channel_multiple=1,
                    steps=rounds,
                ),
                tables,
                rounds,
            ).get_parameter(f"{WIDE}.weight")
        )
        for rounds in (1, 4)
    ]  # fmt: skip
    assert left[1] == pytest.approx(left[0], rel=0.01)
