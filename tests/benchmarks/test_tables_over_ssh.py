"""The tables of layers' times, asked of another machine: of the layers that are here."""

import shutil
import sys
from pathlib import Path

import numpy as np
import other_machine
import pytest
import torch
import toy

from benchmarks import int8_times as int8_benchmark
from benchmarks import layer_times as layer_benchmark
from slimline import processor
from slimline.artifacts import model_folder
from slimline.data import split_files
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.measure.over_ssh import HostError
from slimline.networks import classifier
from slimline.networks.classifier import Classifier
from slimline.networks.settings import ModelParams
from slimline.pruning import cost, layer_times
from slimline.quantization import int8_times, mixed_precision

FRAME = Preprocessing(28, 28, 1, (0.5,), (0.25,))


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Classifier:
    """A repository whose two stages before have made the same small network."""
    shutil.copy(toy.ROOT / "params.yaml", tmp_path)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (20, 28, 28, 1), np.uint8)
    split = Split(pixels, np.arange(20) % 3, ["a", "b", "c"], FRAME)
    settings = ModelParams(
        backbone="resnet8_w48", pretrained="none", stem_stride=2, stem_kernel=3, activation="keep"
    )
    torch.manual_seed(0)
    built = classifier.build(settings, split, tmp_path)
    built.network.eval()
    split_files.save(tmp_path / "data/prepared/calibration", split)
    for name in ("backbone_swap", "prune"):
        folder = tmp_path / "models" / name
        model_folder.save(folder, built, data=split, settings=settings, with_onnx=False)
    other_machine.stand_in(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    return built


def ask(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])


@pytest.mark.parametrize("host", [["--host", "ssh:pi"], []], ids=["over ssh", "here"])
def test_a_latency_target_finds_every_layer_in_its_table(
    host: list[str], model: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_benchmark, "SHARES", (0.5, 0.0))  # each is an export
    ask(monkeypatch, *host, "--rounds", "2", "--images", "3")
    layer_benchmark.main()
    table = layer_times.read(layer_benchmark.TARGET)
    whole = cost.count(model.network, model.example)
    table.check(whole)
    assert table.cpu == processor.cpu().model
    assert table.microseconds(whole) > 0
    assert all(np.isfinite(time) for curve in table.layers.values() for _, time in curve)


@pytest.mark.parametrize("host", [["--host", "ssh:pi"], []], ids=["over ssh", "here"])
def test_mixed_precision_finds_every_layer_in_its_table(
    host: list[str], model: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(monkeypatch, *host, "--rounds", "2", "--runs", "3")
    int8_benchmark.main()
    table = int8_times.read(int8_benchmark.TARGET)
    table.check(model.example.shape[1:], mixed_precision.layers(model), "mixed")
    assert table.cpu == processor.cpu().model
    assert sum(each.int8_us for each in table.layers.values()) > 0


@pytest.mark.slow
@pytest.mark.usefixtures("model")
def test_no_table_is_written_where_the_machine_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    ask(monkeypatch, "--host", "ssh:gone")
    with pytest.raises(HostError, match=r"--host ssh:gone: cannot be reached"):
        layer_benchmark.main()
    assert not layer_benchmark.TARGET.exists()
