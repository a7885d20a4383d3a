"""Which layers stay float, and why: by name, by a scan, by a table of times."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import kinds
import pytest
import torch
import toy

from slimline import params
from slimline.artifacts import model_folder
from slimline.data.split_files import Split
from slimline.errors import ParamsError
from slimline.networks import classifier
from slimline.networks.classifier import Classifier
from slimline.networks.settings import ModelParams
from slimline.quantization import (
    int8_export,
    int8_sensitivity_table,
    int8_times,
    mixed_precision,
    mixed_record,
    qat,
)
from slimline.quantization.int8_sensitivity_table import LayerSensitivity
from slimline.quantization.int8_times import Int8Times, Time
from slimline.quantization.mixed_precision import MixedTables
from slimline.quantization.mixed_record import LayerChoice
from slimline.quantization.settings import MixedParams, QatFinetuneParams
from slimline.targets.onnxruntime import exporter, onnx_file

NOTHING = MixedTables([], Int8Times("", (1, 28, 28), {}))


@pytest.fixture(scope="module", params=kinds.KINDS)
def splits(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Split]:
    return kinds.splits(request.param, tmp_path_factory.mktemp("raw"), calibration_images=20)


@pytest.fixture(scope="module")
def model(splits: dict[str, Split]) -> Classifier:
    settings = ModelParams(
        backbone="resnet10", pretrained="none", stem_stride=2, stem_kernel=3, activation="keep"
    )
    torch.manual_seed(0)
    found = classifier.build(settings, splits["train"], Path("nowhere"))
    found.network.eval()
    return found


def choose(model: Classifier, tables: MixedTables = NOTHING, **changes: Any) -> list[LayerChoice]:
    settings = {"float_layers": [], "max_drop": 100, "only_faster": False} | changes
    return mixed_precision.choose(
        model, MixedParams.model_validate(settings), tables, section="qat_finetune"
    )


def scanned(model: Classifier, **lost: float) -> list[LayerSensitivity]:
    return [LayerSensitivity(name, 80 - lost.get(name, 0), lost.get(name, 0), 79, 1.5, 9.0, 8.0)
            for name in mixed_precision.layers(model)]  # fmt: skip


def timed(model: Classifier, slow: Sequence[str]) -> Int8Times:
    layers = {
        name: Time(weights, float_us=2, int8_us=2 if name in slow else 1)
        for name, weights in mixed_precision.layers(model).items()
    }
    return Int8Times("Some CPU", image(model), layers)


def image(model: Classifier) -> tuple[int, int, int]:
    """Return channels, height and width."""
    channels, height, width = model.example.shape[1:]
    return channels, height, width


def reasons(found: Sequence[LayerChoice]) -> dict[str, str]:
    return {each.layer: each.reason for each in found if each.is_float}


def test_nothing_is_told_where_nothing_is_known_or_asked(model: Classifier) -> None:
    assert choose(model) == []


def test_layers_are_named_by_patterns(model: Classifier) -> None:
    found = choose(model, float_layers=["conv1", "layer4.*.conv2", "fc"])
    named = ["conv1", "layer4.0.conv2", "fc"]
    assert reasons(found) == dict.fromkeys(named, "named")
    assert [each.layer for each in found] == list(mixed_precision.layers(model))
    assert {(each.lost, each.int8_us) for each in found} == {(None, None)}


def test_a_pattern_that_fits_nothing_is_refused_with_the_names(model: Classifier) -> None:
    told = r"mixed\.float_layers, for qat_finetune: 'conv9' is the name of no layer; .*conv1, la"
    with pytest.raises(ParamsError, match=told):
        choose(model, float_layers=["conv1", "conv9"])


def test_what_costs_more_than_allowed_stays_float(model: Classifier) -> None:
    tables = MixedTables(scanned(model, conv1=0.5, fc=0.4), NOTHING.times)
    assert reasons(choose(model, tables, max_drop=0.4)) == {"conv1": "accuracy"}
    assert reasons(choose(model, tables, max_drop=0.3)) == dict.fromkeys(
        ["conv1", "fc"], "accuracy"
    )
    unknown = MixedTables(scanned(model, conv1=float("nan"), fc=0.0), NOTHING.times)
    assert reasons(choose(model, unknown, max_drop=0.4)) == {"conv1": "accuracy"}
    shown = choose(model, tables)
    assert reasons(shown) == {}
    assert (shown[0].lost, shown[0].regained) == (0.5, 1.5)


def test_it_goes_by_mean_recall_where_that_selects(model: Classifier) -> None:
    tables = MixedTables(scanned(model, conv1=0.5), NOTHING.times, "mean_recall")
    found = choose(model, tables, max_drop=8)
    assert {(each.lost, each.regained, each.reason) for each in found} == {(9.0, 8.0, "accuracy")}


def test_what_was_not_scanned_cannot_be_judged(model: Classifier) -> None:
    with pytest.raises(ParamsError, match=r"max_drop, for \w+: layer conv1 was not scanned; set"):
        choose(model, max_drop=1)


def test_what_int8_does_not_make_faster_stays_float(model: Classifier) -> None:
    tables = MixedTables([], timed(model, slow=["conv1", "layer1.0.conv1"]))
    found = choose(model, tables, only_faster=True, float_layers=["conv1"])
    assert reasons(found) == {"conv1": "named", "layer1.0.conv1": "time"}
    assert (found[0].float_us, found[0].int8_us) == (2, 2)
    assert choose(model, tables) == []


def test_times_of_another_network_are_refused(model: Classifier) -> None:
    times = timed(model, slow=[])
    layers = {**times.layers, "fc": Time(7, 2, 1)}
    channels, height, width = image(model)
    larger = Int8Times("", (channels, height + 4, width + 4), times.layers)
    for other, told in (
        (Int8Times("", image(model), layers), "layer fc as it is"),
        (larger, f"images of {channels} x {height} x {width}"),
    ):
        with pytest.raises(ParamsError, match=rf"{told} is not in it; run .*benchmarks.int8_times"):
            choose(model, MixedTables([], other), only_faster=True)


def test_a_folder_is_rebuilt_with_the_same_layers_in_float(
    model: Classifier, splits: dict[str, Split], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toy.ROOT)
    settings = params.load("qat_finetune", QatFinetuneParams)
    choices = choose(model, float_layers=["conv1", "fc"])
    network = qat.prepare_as(settings, model, mixed_record.float_layers(choices))
    qat.calibrate(network, splits["calibration"], model)
    qat.freeze_ranges(network)
    model_folder.save(
        tmp_path / "qat",
        model.with_network(network),
        data=splits["train"],
        settings=settings,
        extra={"mixed": [each.to_dict() for each in choices]},
        with_onnx=False,
    )
    again = int8_export.load_prepared(tmp_path / "qat").network
    images = torch.from_numpy(model.preprocessing.normalise(splits["validation"].images[:8]))
    assert torch.equal(again(images), network(images))
    exporter.write(qat.convert(again), model.example, tmp_path / "int8.onnx")
    nodes = list(onnx_file.weight_entries(tmp_path / "int8.onnx"))
    assert onnx_file.executed_in_int8(tmp_path / "int8.onnx") == set(nodes[1:-1])


def test_tables_are_read_as_they_were_written(model: Classifier, tmp_path: Path) -> None:
    rows, times = scanned(model, conv1=0.25), timed(model, slow=["fc"])
    int8_sensitivity_table.write(tmp_path / "scan.tsv", rows)
    int8_times.write(tmp_path / "times.json", times)
    assert int8_sensitivity_table.read(tmp_path / "scan.tsv") == rows
    read = int8_times.read(tmp_path / "times.json")
    assert (read.layers, tuple(read.image)) == (times.layers, times.image)
