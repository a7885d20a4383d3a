import numpy as np
import pytest
import torch

from slimline.data.preprocessing import Preprocessing
from slimline.training.normalisation import Normaliser


@pytest.mark.parametrize("given", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_bytes_and_strides_are_those_of_preprocessing(given: int, channels: int) -> None:
    """Strides count as well: kernels are chosen by them."""
    mean, std = (0.4851, 0.456, 0.4059)[:channels], (0.229, 0.2241, 0.2253)[:channels]
    frame = Preprocessing(8, 32, channels, mean=mean, std=std)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 8, 32, given), np.uint8)
    expected = torch.from_numpy(frame.normalise(pixels))
    found = Normaliser(frame, torch.device("cpu"))(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    assert torch.equal(found, expected)
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    layout = torch.channels_last
    assert found.to(memory_format=layout).stride() == expected.to(memory_format=layout).stride()


def test_every_level_of_every_channel() -> None:
    frame = Preprocessing(1, 256, 3, mean=(0.1, 0.5, 0.9), std=(0.3, 1.0, 0.0001))
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 256, 1).repeat(3, axis=-1)
    found = Normaliser(frame, torch.device("cpu"))(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    assert torch.equal(found, torch.from_numpy(frame.normalise(pixels)))
