"""Float .onnx files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from slimline.errors import NetworkError
from slimline.networks import classifier
from slimline.networks.architecture import Architecture
from slimline.targets.onnxruntime import runtime, to_onnx

ARCHITECTURE = Architecture("mobilenet_v3_small", 10, 3, 2, 3)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.nn.Module, Path]:
    """A network as training may leave it, and its file, traced with images of the same layout."""
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    torch.manual_seed(0)
    network = classifier.make(ARCHITECTURE).eval().to(memory_format=torch.channels_last)
    example = torch.randn(2, 3, 32, 32).to(memory_format=torch.channels_last)
    to_onnx.write_onnx(network, example, path)
    return network, path


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_any_batch_is_answered_however_memory_was_laid_out(
    written: tuple[torch.nn.Module, Path], batch: int
) -> None:
    network, path = written
    images = torch.randn(batch, 3, 32, 32)

    answers = runtime.run(runtime.load(path, num_threads=1), images.numpy())

    with torch.no_grad():
        assert np.allclose(answers, network(images).numpy(), atol=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_that_answers_nan_is_refused_for_that(value: float) -> None:
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)).eval()
    with torch.no_grad():
        network[1].weight.fill_(value)
    with pytest.raises(NetworkError, match="answers with NaN or infinity"):
        to_onnx.to_onnx(network, torch.zeros(2, 1, 2, 2))


class Branching(torch.nn.Module):
    """Chooses by the values of its images."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = torch.nn.Linear(4, 2), torch.nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = images.flatten(1)
        return self.one(rows) if rows.mean() > 0 else self.other(rows)


@pytest.mark.parametrize("follow", [to_onnx.to_onnx, to_onnx.program])
def test_a_choice_by_values_is_refused_in_a_sentence(
    follow: Callable[..., object], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NetworkError, match=r"Branching: .* depends on the values of an image"):
        follow(Branching().eval(), torch.zeros(2, 1, 2, 2))
    assert not any(capfd.readouterr())


class Squeezed(torch.nn.Module):
    """Drops the batch of a single image."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(4, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(images.flatten(1)).squeeze()


def test_a_batch_that_is_squeezed_away_is_refused_in_a_sentence() -> None:
    with pytest.raises(NetworkError, match=r"at once with .*, and one by one with "):
        to_onnx.to_onnx(Squeezed().eval(), torch.zeros(2, 1, 2, 2))


class Attention(torch.nn.Module):
    """Attention between patches with a bias made of a learnt one, as in BEiT."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = torch.nn.Linear(8, 24)
        self.bias = torch.nn.Parameter(torch.randn(1, 2, 16, 16))
        self.head = torch.nn.Linear(8, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        patches = images.flatten(2).transpose(1, 2)
        heads = self.qkv(patches).reshape(-1, 16, 3, 2, 4).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(*heads.unbind(0), attn_mask=2 * self.bias)
        return self.head(found.transpose(1, 2).reshape(-1, 16, 8).mean(1))


def test_attention_with_a_learnt_bias_is_written(tmp_path: Path) -> None:
    """Torch's exporter ended in "Cannot view a tensor with shape"."""
    torch.manual_seed(0)
    network = Attention().eval()
    to_onnx.write_onnx(network, torch.randn(2, 8, 4, 4), tmp_path / "model.onnx")
    images = torch.randn(5, 8, 4, 4)
    answers = runtime.run(runtime.load(tmp_path / "model.onnx", num_threads=1), images.numpy())
    with torch.no_grad():
        assert np.allclose(answers, network(images).numpy(), atol=1e-4)


class PaddedPool(torch.nn.Module):
    """Max-pooling of what is padded by a value, as of TensorFlow's "same" padding."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        wider = functional.pad(images, (0, 1, 0, 1), value=self.value)
        return functional.max_pool2d(wider, 2, stride=1).flatten(1)


@pytest.mark.parametrize("optimised", [True, False])
@pytest.mark.parametrize("value", [0.0, -2.0, float("-inf")])
def test_max_pooling_sees_the_zeros_that_a_network_pads_with(
    value: float, optimised: bool, tmp_path: Path
) -> None:
    network, images = PaddedPool(value).eval(), -1 - torch.rand(3, 2, 4, 4)
    to_onnx.write_onnx(network, images[:2], tmp_path / "model.onnx")
    loaded = runtime.load(tmp_path / "model.onnx", num_threads=1, optimised=optimised)
    assert np.array_equal(runtime.run(loaded, images.numpy()), network(images).numpy())
