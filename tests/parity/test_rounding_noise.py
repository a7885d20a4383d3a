"""A file whose layers cannot be compared is judged by what rounding does to its logits."""

import copy
from pathlib import Path

import calibrated
import numpy as np
import onnx
import pytest
import torch
import toy
from onnx import numpy_helper
from torch import Tensor, nn

from slimline import files
from slimline.data.split_files import Split
from slimline.errors import ParityError
from slimline.networks.classifier import Classifier
from slimline.parity import int8_parity, rounding_noise
from slimline.quantization import int8_export
from slimline.targets.onnxruntime import exporter


class ByAnotherName(nn.Module):
    """Multiplies by a weight of its own, which is a linear layer in the file and none in torch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.head = nn.Conv2d(1, 12, 4, stride=4), nn.Linear(24, 10)
        self.inner, self.shift = nn.Parameter(torch.randn(12, 24)), nn.Parameter(torch.randn(24))

    def forward(self, images: Tensor) -> Tensor:
        pooled = self.stem(images).relu().mean((2, 3))
        return self.head(torch.addmm(self.shift, pooled, self.inner).relu())


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return toy.splits(tmp_path_factory.mktemp("raw"))["validation"]


@pytest.fixture(scope="module")
def prepared(split: Split) -> Classifier:
    return calibrated.classifier(ByAnotherName(), split)


def test_it_is_the_same_each_time_and_small(prepared: Classifier, split: Split) -> None:
    images = split.preprocessing.normalise(split.images[:50])
    plain, otherwise = rounding_noise.logits(prepared.network, images)
    assert np.array_equal(rounding_noise.logits(prepared.network, images)[1], otherwise)
    assert 0 < int8_parity.root_mean_square(plain, otherwise) < 0.05 * float(np.ptp(plain))


def double_the_weight_of_the_head(path: Path) -> None:
    """Double the scale of the levels of the last layer."""
    model = onnx.load(path)
    makers = {name: node for node in model.graph.node for name in node.output}
    head = [node for node in model.graph.node if node.op_type == "Gemm"][-1]
    tensors = {each.name: each for each in model.graph.initializer}
    scale = tensors[makers[head.input[1]].input[1]]
    scale.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(scale), scale.name))
    onnx.save(model, path)


def test_a_sound_file_is_written_and_a_broken_one_is_not(
    prepared: Classifier,
    split: Split,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    files.write_json(parent / "model.json", {})

    def save(target: Path) -> None:
        model = prepared.with_network(copy.deepcopy(prepared.network))
        int8_export.save(target, model, split, calibrated.EXPORT, parent=parent, num_threads=1)

    save(tmp_path / "right")
    assert "has other layers than the network" in capsys.readouterr().out
    write = exporter.write

    def write_wrongly(converted, example, path, **options) -> None:  # type: ignore[no-untyped-def]
        write(converted, example, path, **options)
        double_the_weight_of_the_head(path)

    monkeypatch.setattr(exporter, "write", write_wrongly)
    with pytest.raises(ParityError, match=r"where rounding every value otherwise explains .*mixed"):
        save(tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists()
