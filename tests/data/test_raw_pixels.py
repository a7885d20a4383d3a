import numpy as np
import pytest
from PIL import Image

from slimline.data.preprocessing import Preprocessing
from slimline.data.raw_pixels import RawPixels

MEAN_AND_STD = {"mean": (0.5, 0.4, 0.3), "std": (0.1, 0.2, 0.3)}


@pytest.mark.parametrize("channels_last", [False, True])
def test_pixels_stay_what_they_are(channels_last: bool) -> None:
    frame = RawPixels(2, 3, 3, **MEAN_AND_STD, channels_last=channels_last)
    pixels = np.arange(36, dtype=np.uint8).reshape(2, 2, 3, 3)
    found = frame.normalise(pixels)
    assert found.dtype == np.uint8
    assert found.shape == (2, *frame.shape)
    assert np.array_equal(found if channels_last else found.transpose(0, 2, 3, 1), pixels)
    assert frame.layout == ("nhwc" if channels_last else "nchw")


def test_grey_images_are_repeated_and_a_photo_prepared_as_elsewhere() -> None:
    frame, other = RawPixels(4, 4, 3, **MEAN_AND_STD), Preprocessing(4, 4, 3, **MEAN_AND_STD)
    grey = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    assert np.array_equal(frame.normalise(grey), np.repeat(grey.transpose(0, 3, 1, 2), 3, axis=1))
    photo = Image.linear_gradient("L")
    assert np.array_equal(frame.to_pixels(photo), other.to_pixels(photo))
    assert frame.steps == other.steps[:-1]
