import numpy as np
import torch

from slimline.targets.litert import runtime


def test_images_are_rounded_as_fake_quant_rounds() -> None:
    scale, zero_point = 0.011, -5
    steps = np.linspace(-140, 140, 1121, dtype=np.float32)  # halves and quarters too
    images = (steps * np.float32(scale)).reshape(1, 1, 1, -1)
    expected = torch.ops.quantized_decomposed.quantize_per_tensor(
        torch.from_numpy(images), scale, zero_point, -128, 127, torch.int8
    )
    found = runtime._bytes(images, {"dtype": np.int8, "quantization": (scale, zero_point)})
    assert found.dtype == np.int8
    assert np.array_equal(found, expected.numpy())


def test_floats_stay_where_a_file_takes_them() -> None:
    images = np.zeros((1, 1, 1, 4), np.float32)
    assert runtime._bytes(images, {"dtype": np.float32, "quantization": (0.0, 0)}) is images
