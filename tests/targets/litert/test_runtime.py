import numpy as np
import torch

from slimline.targets.litert import runtime
from slimline.targets.quantized_graph import QUANTIZE


def test_images_are_rounded_as_fake_quant_rounds() -> None:
    scale, zero_point = 0.011, -5
    steps = np.linspace(-140, 140, 1121, dtype=np.float32)  # halves and quarters too
    images = (steps * np.float32(scale)).reshape(1, 1, 1, -1)
    expected = QUANTIZE(torch.from_numpy(images), scale, zero_point, -128, 127, torch.int8)
    found = runtime.to_bytes(images, {"dtype": np.int8, "quantization": (scale, zero_point)})
    assert found.dtype == np.int8
    assert np.array_equal(found, expected.numpy())


def test_bytes_of_an_answer_are_what_they_stand_for() -> None:
    levels = np.array([[-128, 3, 127]], np.int8)
    found = runtime.to_values(levels, {"quantization": (0.5, 3)})
    assert found.dtype == np.float32
    assert found.tolist() == [[-65.5, 0.0, 62.0]]


def test_floats_stay_where_a_file_takes_them() -> None:
    images = np.zeros((1, 1, 1, 4), np.float32)
    assert runtime.to_bytes(images, {"dtype": np.float32, "quantization": (0.0, 0)}) is images
