"""What ExecuTorch's own converter writes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from quantized_networks import (
    Answer,
    Bessel,
    ConvolutionalAttention,
    SharedKeys,
    Transformer,
    converted,
)
from torch import Tensor, nn

from slimline.errors import TargetError
from slimline.targets.executorch import exporter, installed, runtime

pytestmark = pytest.mark.skipif(
    not all(installed.versions().values()), reason=f"{installed.LOCK} is not installed"
)


class Normalised(nn.Module):
    """A convolution, GroupNorm, a product of two computed values, and an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8)
        self.answer = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = torch.relu(self.norm(self.stem(images))).flatten(2)
        answer: Tensor = self.answer((maps[:, :4] @ maps[:, 4:].transpose(1, 2)).mean(1))
        return answer


def test_what_xnnpack_leaves_is_named(tmp_path: Path) -> None:
    network, images = converted(Normalised())
    about = exporter.write(network, images, tmp_path / runtime.FILE)
    assert {"layer": "norm", "operator": "native_group_norm"} in about["not_delegated"]
    assert about["num_layers"] == 2


def test_a_transformer_is_int8(tmp_path: Path) -> None:
    network, images = converted(Transformer())
    about = exporter.write(network, images, tmp_path / runtime.FILE)
    assert about["float_layers"] == []
    assert about["not_delegated"] == [
        {"layer": "norm", "operator": "native_layer_norm"},
        {"layer": "", "operator": "mean"},
    ]
    with torch.no_grad():
        expected = network(images).numpy()
    loaded = runtime.load(tmp_path / runtime.FILE, num_threads=1)
    found = runtime.run(loaded, images.numpy())
    assert np.abs(expected - found).max() < 0.02 * np.ptp(expected)


@pytest.mark.parametrize(
    "network", [ConvolutionalAttention(), ConvolutionalAttention(num_shared=2), SharedKeys()]
)
def test_attention_is_left_to_xnnpack(tmp_path: Path, network: nn.Module) -> None:
    quantized, images = converted(network)
    about = exporter.write(quantized, images, tmp_path / runtime.FILE)
    left = {each["operator"] for each in about["not_delegated"]}
    assert left <= {"native_layer_norm", "mean", "unsqueeze_copy"}
    with torch.no_grad():
        expected = quantized(images).numpy()
    found = runtime.run(runtime.load(tmp_path / runtime.FILE, num_threads=1), images.numpy())
    assert np.abs(expected - found).max() < 0.02 * np.ptp(expected)


@pytest.mark.parametrize("is_signed", [True, False])
def test_an_answer_has_the_steps_that_were_trained(tmp_path: Path, is_signed: bool) -> None:
    network, images = converted(Answer(is_signed=is_signed))
    fainter = images / 5  # of which no row has the ends of the range
    path = tmp_path / runtime.FILE
    counts = exporter.write(network, images, path)["counts"]
    with torch.no_grad():
        expected = network(fainter).numpy()
    found = runtime.run(runtime.load(path, num_threads=1), fainter.numpy())
    assert np.abs(expected - found).max() < 1e-5 * np.ptp(expected)
    assert counts["weights"] == 4 * 192, "columns that stand for the ends are no weights"
    assert counts["params"] == counts["weights"] + 4


def test_weights_in_whose_place_others_came_are_not_in_the_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    wide = nn.Sequential(nn.Flatten(), nn.Linear(192, 500), nn.ReLU(), nn.Linear(500, 300))
    network, images = converted(wide)
    path = tmp_path / runtime.FILE
    counts = exporter.write(network, images, path)["counts"]
    assert path.stat().st_size < 1.2 * counts["weights"]


def test_an_operator_that_executorch_lacks_is_told(tmp_path: Path) -> None:
    network, images = converted(Bessel())
    with pytest.raises(TargetError, match=r"device_export@executorch: .*bessel_j0.*; take execu"):
        exporter.write(network, images, tmp_path / runtime.FILE)
