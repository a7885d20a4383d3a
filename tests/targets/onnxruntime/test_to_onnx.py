"""Float .onnx files."""

from pathlib import Path

import numpy as np
import pytest
import torch

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
