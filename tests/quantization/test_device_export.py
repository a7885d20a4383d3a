"""What is written for another runtime, with ONNX Runtime in its place: no ExecuTorch is needed."""

import copy
import dataclasses
from pathlib import Path

import calibrated
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from slimline import files
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.quantization import device_export, int8_export, qat
from slimline.targets import (
    device_exporters,
    device_runtimes,
    device_schemes,
    quantized_graph,
)
from slimline.targets.onnxruntime import exporter, runtime, scheme
from slimline.targets.runtimes import Deployable
from slimline.training import loop


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(1, 8, 3), nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.conv(images).relu().mean([2, 3]))


@pytest.fixture
def split() -> Split:
    chance = np.random.default_rng(0)
    return Split(
        chance.integers(0, 256, (20, 28, 28, 1), np.uint8),
        chance.integers(0, 10, 20),
        [str(each) for each in range(10)],
        Preprocessing(28, 28, 1, (0.5,), (0.25,)),
    )


@pytest.fixture
def source(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a fake-quant model, and ONNX Runtime in the place of a target."""
    trained = calibrated.classifier(Network(), split)
    monkeypatch.setattr(
        int8_export,
        "load_prepared",
        lambda *_: trained.with_network(copy.deepcopy(trained.network)),
    )
    for table, part in (
        (device_exporters, ("EXPORTERS", exporter)),
        (device_runtimes, ("RUNTIMES", runtime)),
        (device_schemes, ("SCHEMES", scheme)),
    ):
        monkeypatch.setattr(table, part[0], {"executorch": part[1]})
    files.write_json(tmp_path / "model.json", {})
    return tmp_path


@pytest.mark.parametrize("is_rounded", [False, True])
def test_logits_are_rounded_where_settings_say_so(
    split: Split, source: Path, tmp_path: Path, is_rounded: bool
) -> None:
    settings = calibrated.EXPORT.model_copy(update={"quantized_logits": is_rounded})
    device_export.save(
        tmp_path / "out", source, split, settings, target="executorch", num_threads=1
    )
    found = Deployable(tmp_path / "out" / "model.onnx").predict(
        split.images, split.preprocessing, num_threads=1
    )
    steps = np.unique(np.diff(np.unique(found)).round(6))
    # All logits lie whole steps apart: the least is one, and the others are multiples of it.
    is_whole = np.abs(steps / steps[0] - np.rint(steps / steps[0])).max() < 0.01
    assert bool(is_whole) == is_rounded


class EndsInMaps(Network):
    """Its answer is a mean of maps, which int8 rounds in any case."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(8, 10, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.last(self.conv(images).relu()).mean([2, 3])


def test_what_is_rounded_in_any_case_is_not_rounded_again(split: Split) -> None:
    trained = calibrated.classifier(EndsInMaps(), split).network
    assert quantized_graph.answers_in_bytes(qat.convert(trained))
    trained = calibrated.classifier(Network(), split).network
    assert not quantized_graph.answers_in_bytes(qat.convert(trained))


def test_a_range_that_logits_leave_is_no_fault_of_the_file(
    split: Split, source: Path, tmp_path: Path
) -> None:
    settings = calibrated.EXPORT.model_copy(update={"quantized_logits": True})
    device_export.save(
        tmp_path / "out", source, split, settings, target="executorch", num_threads=1,
        calibration=dataclasses.replace(split, images=split.images[:2], labels=split.labels[:2]),
    )  # fmt: skip


def test_what_was_scored_on_a_gpu_is_looked_into_on_the_cpu(
    split: Split, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = loop.predict

    def predict_on_a_gpu(network: nn.Module, *others: object) -> Tensor:
        logits = predict(network, *others)  # type: ignore[arg-type]
        network.to("meta")  # stays where it was scored, as with an accelerator
        return logits

    monkeypatch.setattr(device_export.loop, "predict", predict_on_a_gpu)
    compared = device_export.save(
        tmp_path / "out", source, split, calibrated.EXPORT, target="executorch", num_threads=1
    )
    assert compared.agreement > 90
