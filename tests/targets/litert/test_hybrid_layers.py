"""Linear layers that float reads, in int8 in a .tflite."""

from pathlib import Path

import numpy as np
import pytest
import torch
from quantized_networks import Transformer, converted, kinds
from torch import nn
from torch.nn import functional

from slimline.targets.litert import exporter, hybrid_layers, installed, runtime
from slimline.targets.quantized_graph import QUANTIZE
from slimline.targets.schemes import WeightScales

needs_litert = pytest.mark.skipif(
    not all(installed.versions().values()), reason=f"{installed.LOCK} is not installed"
)


@pytest.mark.parametrize("weights", ["per_channel", "per_tensor"])
def test_weights_are_found_by_the_floats_that_they_stand_for(weights: WeightScales) -> None:
    network, _ = converted(Transformer(), weights)
    found = hybrid_layers.find(network)
    assert len(found) == 3  # what is added to the rows is rounded, for the sum
    for floats, (levels, steps) in found.items():
        assert steps.shape == (len(levels),)
        assert (levels * steps[:, np.newaxis]).astype(np.float32).tobytes() == floats


def test_a_layer_whose_output_is_rounded_has_no_need() -> None:
    torch.manual_seed(0)
    network, _ = converted(
        nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 3))
    )
    assert kinds(network)[str(QUANTIZE)] == 2
    ((levels, _),) = hybrid_layers.find(network).values()
    assert levels.shape == (3, 8)


@needs_litert
@pytest.mark.parametrize("optimised", [True, False])
@pytest.mark.parametrize(("weights", "dim"), [("per_channel", 0), ("per_tensor", 2)])
def test_a_transformer_is_int8(
    tmp_path: Path, weights: WeightScales, dim: int, optimised: bool
) -> None:
    network, images = converted(Transformer(dim=dim), weights)
    path = tmp_path / runtime.FILE
    about = exporter.write(network, images, path)
    assert about["float_layers"] == []
    with torch.no_grad():
        expected = network(images).numpy()
    found = runtime.run(runtime.load(path, num_threads=1, optimised=optimised), images.numpy())
    assert np.abs(expected - found).max() < 0.03 * np.ptp(expected)
    counted = runtime.inspect(path)
    assert counted.int8_macs == counted.macs


class LayerScale(nn.Module):
    """Two linear layers, the output of the second multiplied, in rows of their own or not."""

    def __init__(self, scale: torch.Tensor | float, *, rows: int = 1) -> None:
        super().__init__()
        self.first, self.second, self.answer = nn.Linear(192, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.scale = nn.Parameter(scale) if isinstance(scale, torch.Tensor) else scale
        self.rows = rows

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        values = torch.tanh(self.first(images.flatten(1)))
        values = torch.stack([values] * self.rows, 1) if self.rows > 1 else values
        scaled = self.scale * functional.dropout(self.second(values), 0.5, self.training)
        answer: torch.Tensor = self.answer(torch.tanh(scaled))
        return answer.mean(1) if self.rows > 1 else answer


_SCALES = (torch.linspace(-1.5, 2.5, 8), torch.full((8,), 1e-5), torch.tensor([0.3]), 0.5)


@pytest.mark.parametrize("scale", _SCALES)
@pytest.mark.parametrize("rows", [1, 4])
def test_layers_compute_what_their_output_is_multiplied_by(
    scale: torch.Tensor | float, rows: int
) -> None:
    network, images = converted(LayerScale(scale, rows=rows))
    before = len(hybrid_layers.find(network))
    with torch.no_grad():
        expected = network(images)
        hybrid_layers.fold_scales(network)
        torch.testing.assert_close(network(images), expected)
    assert "aten.mul.Tensor" not in kinds(network)
    assert len(hybrid_layers.find(network)) == before


def test_a_scale_of_nothing_stays() -> None:
    network, _ = converted(LayerScale(torch.zeros(8)))
    hybrid_layers.fold_scales(network)
    assert kinds(network)["aten.mul.Tensor"] == 1


def assert_int8_and_alike(network: nn.Module, folder: Path) -> None:
    """Write a network's file: no layer is in float, and LiteRT answers as the network does."""
    quantized, images = converted(network)
    path = folder / runtime.FILE
    assert exporter.write(quantized, images, path)["float_layers"] == []
    with torch.no_grad():
        expected = quantized(images).numpy()
    found = runtime.run(runtime.load(path, num_threads=1), images.numpy())
    assert np.abs(expected - found).max() < 0.03 * np.ptp(expected)


@needs_litert
@pytest.mark.parametrize("scale", _SCALES)
@pytest.mark.parametrize("rows", [1, 4])
def test_a_layer_that_is_scaled_is_int8(
    tmp_path: Path, scale: torch.Tensor | float, rows: int
) -> None:
    assert_int8_and_alike(LayerScale(scale, rows=rows), tmp_path)


class Tied(nn.Module):
    """Two linear layers of the same weights, whose floats a file holds once."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.answer = nn.Linear(192, 192), nn.Linear(192, 192)
        self.answer.weight = self.first.weight

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.answer(torch.tanh(self.first(images.flatten(1))))
        return answer


@needs_litert
def test_weights_of_several_layers_are_stored_once_more_at_most(tmp_path: Path) -> None:
    assert_int8_and_alike(Tied(), tmp_path)
