"""What is written for another runtime, with ONNX Runtime in its place: no ExecuTorch is needed."""

import copy
from pathlib import Path

import calibrated
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from slimline import files
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.quantization import device_export, int8_export
from slimline.targets import device_exporters, device_runtimes, device_schemes
from slimline.targets.onnxruntime import exporter, runtime, scheme
from slimline.training import loop


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(1, 8, 3), nn.Linear(8, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.conv(images).relu().mean([2, 3]))


def test_what_was_scored_on_a_gpu_is_looked_into_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = np.random.default_rng(0)
    split = Split(
        chance.integers(0, 256, (20, 28, 28, 1), np.uint8),
        chance.integers(0, 10, 20),
        [str(each) for each in range(10)],
        Preprocessing(28, 28, 1, (0.5,), (0.25,)),
    )
    trained = calibrated.classifier(Network(), split)
    predict = loop.predict

    def predict_on_a_gpu(network: nn.Module, *others: object) -> Tensor:
        logits = predict(network, *others)  # type: ignore[arg-type]
        network.to("meta")  # stays where it was scored, as with an accelerator
        return logits

    monkeypatch.setattr(device_export.loop, "predict", predict_on_a_gpu)
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
    compared = device_export.save(
        tmp_path / "out", tmp_path, split, calibrated.EXPORT, target="executorch", num_threads=1
    )
    assert compared.agreement > 90
