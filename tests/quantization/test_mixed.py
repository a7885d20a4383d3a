"""Which layers stay float, and why: by name, by a scan, by a table of times."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import toy

from slimline.core import classifier
from slimline.core.classifier import Classifier
from slimline.core.errors import ParamsError
from slimline.core.recipe import ModelParams
from slimline.measure.int8_layers import LayerChoice
from slimline.quantization import int8_scan, int8_times, mixed
from slimline.quantization.int8_scan import Row
from slimline.quantization.int8_times import Int8Times, Time
from slimline.quantization.mixed import Tables
from slimline.quantization.settings import MixedParams

NOTHING = Tables([], Int8Times("", (1, 28, 28), {}))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    settings = ModelParams(
        backbone="resnet18", pretrained="none", stem_stride=2, stem_kernel=3, activation="keep"
    )
    raw = tmp_path_factory.mktemp("raw")
    return classifier.build(settings, toy.splits(raw)["train"], raw)


def choose(model: Classifier, tables: Tables = NOTHING, **changes: Any) -> list[LayerChoice]:
    settings = {"float_layers": [], "max_drop": 100, "only_faster": False} | changes
    return mixed.choose(model, MixedParams.model_validate(settings), tables, section="qat_finetune")


def scanned(model: Classifier, **lost: float) -> list[Row]:
    return [Row(name, 80 - lost.get(name, 0), lost.get(name, 0), 79, 1.5)
            for name in mixed.layers(model.network)]  # fmt: skip


def timed(model: Classifier, slow: Sequence[str]) -> Int8Times:
    layers = {
        name: Time(weights, float_us=2, int8_us=2 if name in slow else 1)
        for name, weights in mixed.layers(model.network).items()
    }
    return Int8Times("Some CPU", (1, 28, 28), layers)


def reasons(found: Sequence[LayerChoice]) -> dict[str, str]:
    return {each.layer: each.reason for each in found if each.is_float}


def test_nothing_is_told_where_nothing_is_known_or_asked(model: Classifier) -> None:
    assert choose(model) == []


def test_layers_are_named_by_patterns(model: Classifier) -> None:
    found = choose(model, float_layers=["conv1", "layer4.*.conv2", "fc"])
    named = ["conv1", "layer4.0.conv2", "layer4.1.conv2", "fc"]
    assert reasons(found) == dict.fromkeys(named, "named")
    assert [each.layer for each in found] == list(mixed.layers(model.network))
    assert {(each.lost, each.int8_us) for each in found} == {(None, None)}


def test_a_pattern_that_fits_nothing_is_refused_with_the_names(model: Classifier) -> None:
    told = r"qat_finetune\.mixed\.float_layers: 'conv9' is the name of no layer; .*conv1, layer1"
    with pytest.raises(ParamsError, match=told):
        choose(model, float_layers=["conv1", "conv9"])


def test_what_costs_more_than_allowed_stays_float(model: Classifier) -> None:
    tables = Tables(scanned(model, conv1=0.5, fc=0.4), NOTHING.times)
    assert reasons(choose(model, tables, max_drop=0.4)) == {"conv1": "accuracy"}
    assert reasons(choose(model, tables, max_drop=0.3)) == dict.fromkeys(
        ["conv1", "fc"], "accuracy"
    )
    shown = choose(model, tables)
    assert reasons(shown) == {}
    assert (shown[0].lost, shown[0].regained) == (0.5, 1.5)


def test_what_was_not_scanned_cannot_be_judged(model: Classifier) -> None:
    with pytest.raises(ParamsError, match=r"max_drop: layer conv1 was not scanned; set int8_sens"):
        choose(model, max_drop=1)


def test_what_int8_does_not_make_faster_stays_float(model: Classifier) -> None:
    tables = Tables([], timed(model, slow=["conv1", "layer1.0.conv1"]))
    found = choose(model, tables, only_faster=True, float_layers=["conv1"])
    assert reasons(found) == {"conv1": "named", "layer1.0.conv1": "time"}
    assert (found[0].float_us, found[0].int8_us) == (2, 2)
    assert choose(model, tables) == []


def test_times_of_another_network_are_refused(model: Classifier) -> None:
    times = timed(model, slow=[])
    layers = {**times.layers, "fc": Time(7, 2, 1)}
    for other, told in (
        (Int8Times("", (1, 28, 28), layers), "layer fc as it is"),
        (Int8Times("", (1, 32, 32), times.layers), "images of 1 x 28 x 28"),
    ):
        with pytest.raises(ParamsError, match=rf"{told} is not in it; run .*benchmarks.int8_times"):
            choose(model, Tables([], other), only_faster=True)


def test_tables_are_read_as_they_were_written(model: Classifier, tmp_path: Path) -> None:
    rows, times = scanned(model, conv1=0.25), timed(model, slow=["fc"])
    int8_scan.write(tmp_path / "scan.tsv", rows)
    int8_times.write(tmp_path / "times.json", times)
    assert int8_scan.read(tmp_path / "scan.tsv") == rows
    read = int8_times.read(tmp_path / "times.json")
    assert (read.layers, tuple(read.image)) == (times.layers, times.image)
