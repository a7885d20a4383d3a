"""What ONNX Runtime's own tools make of networks that they were not made for."""

from pathlib import Path

import kinds
import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from slimline.artifacts import description, model_folder
from slimline.data.split_files import Split
from slimline.errors import ArtifactError
from slimline.measure import accuracy
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier
from slimline.params import RunParams
from slimline.quantization import onnxruntime_quantizers
from slimline.targets.onnxruntime import onnx_file, to_onnx
from slimline.targets.runtimes import Deployable

_SETTINGS = RunParams(seed=1, num_threads=1, processes=1)
_TYPES = onnx.TensorProto


@pytest.fixture(scope="module", params=kinds.KINDS)
def split(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Split:
    return kinds.splits(request.param, tmp_path_factory.mktemp("raw"))["validation"]


def save(folder: Path, split: Split, *, stem_times: float) -> Path:
    """Write a model whose first layer's values are that many times as large as they were."""
    torch.manual_seed(0)
    channels = split.preprocessing.channels
    network = nn.Sequential(
        nn.Conv2d(channels, 64, 3, stride=2),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, len(split.classes)),
    )
    with torch.no_grad():
        network[1].weight.mul_(stem_times)
    architecture = Architecture("any", len(split.classes), channels, 2, 3)
    model = Classifier(network.eval(), architecture, split.classes, split.preprocessing)
    model_folder.save(folder, model, data=split, settings=_SETTINGS)
    return folder


def logits(folder: Path, split: Split) -> np.ndarray:
    frame = description.frame(folder)
    return Deployable(folder / "model.onnx").predict(split.images, frame, num_threads=1)


@pytest.mark.parametrize("stem_times", [1, 1e5, 1e7])
def test_float16_answers_whatever_the_values(
    split: Split, tmp_path: Path, capsys: pytest.CaptureFixture[str], stem_times: float
) -> None:
    """Beyond 65,504 weights are cut off, or logits NaN, of which `evaluate` writes no figure."""
    source = save(tmp_path / "prune", split, stem_times=stem_times)
    target = tmp_path / "float16"
    onnxruntime_quantizers.save_float16(target, source, split, num_threads=1)
    before, after = logits(source, split), logits(target, split)
    assert np.abs(after - before).max() < 0.01 * np.ptp(before)
    is_alone = stem_times > 1
    assert ("beyond 65,504" in capsys.readouterr().out) == is_alone
    assert description.read(target).get("float16_weights_alone", False) == is_alone
    sizes = [onnx_file.inspect(each / "model.onnx").size_kib for each in (source, target)]
    assert sizes[1] < 0.6 * sizes[0]


def test_weights_beyond_float16_stay_float32(tmp_path: Path) -> None:
    torch.manual_seed(0)
    first, last = nn.Linear(4, 8, bias=False), nn.Linear(8, 2, bias=False)
    network = nn.Sequential(nn.Flatten(), first, last).eval()
    with torch.no_grad():
        first.weight.mul_(1e6)
    images = torch.randn(2, 1, 2, 2)
    to_onnx.write_onnx(network, images, tmp_path / "a.onnx")
    model = onnxruntime_quantizers.to_float16_weights(tmp_path / "a.onnx")
    to_onnx.save(model, tmp_path / "b.onnx")
    kept = [each.data_type for each in model.graph.initializer if len(each.dims) == 2]
    assert sorted(kept) == sorted([_TYPES.FLOAT, _TYPES.FLOAT16])
    one, two = (
        Deployable(tmp_path / name).load(num_threads=1)(images.numpy())
        for name in ("a.onnx", "b.onnx")
    )
    assert np.abs(two - one).max() < 1e-3 * np.ptp(one)


class Twice(nn.Module):
    """Two sums along the picture, of the same values: a network's coordinates are made so."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(8, 2)

    def forward(self, images: Tensor) -> Tensor:
        halves = images / 2
        return self.head(torch.cat([halves.cumsum(2), halves.cumsum(3)], 1).flatten(1))


def test_a_value_that_two_float32_operators_read_is_cast_once(tmp_path: Path) -> None:
    """ONNX Runtime's converter writes two nodes of one name, and its runtime refuses the file."""
    images = torch.randn(2, 1, 2, 2)
    torch.manual_seed(0)
    to_onnx.write_onnx(Twice().eval(), images, tmp_path / "a.onnx")
    to_onnx.save(onnxruntime_quantizers.to_float16(tmp_path / "a.onnx"), tmp_path / "b.onnx")
    one, two = (
        Deployable(tmp_path / name).load(num_threads=1)(images.numpy())
        for name in ("a.onnx", "b.onnx")
    )
    assert np.abs(two - one).max() < 0.01 * np.ptp(one)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_told_in_one_sentence(broken: float) -> None:
    given = np.zeros((3, 2), np.float32)
    accuracy.require_numbers(given, Path("models/mine"))
    given[1, 0] = broken
    told = r"models/mine: the logits of 1 of 3 images are infinite or no numbers \(NaN\)"
    with pytest.raises(ArtifactError, match=told):
        accuracy.require_numbers(given, Path("models/mine"))
