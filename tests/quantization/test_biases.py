"""Dead channels: a bias that is many steps of a weight's tiny scale is still added rightly."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from slimline.measure import session
from slimline.quantization import biases, int8, qat

IMAGES = torch.rand(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Network(nn.Module):
    """A convolution and an answer; of both, the first channel has no weights."""

    def __init__(self, *, is_dead: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 3)
        if is_dead:
            for layer, bias in ((self.conv, 5.64), (self.head, -7.0)):
                layer.weight.data[0] = 0
                layer.bias.data[0] = bias

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.conv(images).relu().mean([2, 3]))


def quantized(path: Path, *, is_dead: bool, weights: str) -> np.ndarray:
    prepared = qat.prepare(
        Network(is_dead=is_dead).eval(), IMAGES[:2], weight_bits=7, weights=weights
    )
    prepared(IMAGES)
    qat.freeze_ranges(prepared)
    expected = prepared(IMAGES).detach().numpy()
    int8.write(qat.convert(prepared), IMAGES[:2], path)
    return expected


@pytest.mark.parametrize("weights", ["per_channel", "per_tensor"])
@pytest.mark.parametrize("optimised", [False, True])
def test_dead_channels_answer_as_in_training(optimised: bool, weights: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    expected = quantized(path, is_dead=True, weights=weights)
    runtime = session.load(path, num_threads=1, optimised=optimised)
    assert np.abs(session.run(runtime, IMAGES.numpy()) - expected).max() < 0.1
    assert np.abs(expected[:, 0] + 7).max() < 0.01


@pytest.mark.parametrize("weights", ["per_channel", "per_tensor"])
def test_other_layers_stay_as_they_are(weights: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    quantized(path, is_dead=False, weights=weights)
    model = onnx.load(path)
    before = model.SerializeToString(deterministic=True)
    biases.make_room(model)
    assert model.SerializeToString(deterministic=True) == before
