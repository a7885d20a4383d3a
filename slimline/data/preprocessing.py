"""From an image file to the numbers that a model sees; the same everywhere, and free of torch.

`upright`, `to_pixels` and `normalise` are what validation, evaluate, benchmark, predict and a
deployment do. Random augmentation for training lives in `slimline.training.augmentation`.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

STEPS = (
    "decode the first frame",
    "turn upright by EXIF",
    "scale 16 bits to 8 by dropping the lower 8",
    "put what is transparent on white",
    "convert to grey (ITU-R 601-2) or RGB",
    "cut the centre: `crop` of height and width, then the aspect of the frame",
    "resize to height x width, bilinear with antialiasing (Pillow's ImageOps.fit)",
    "divide by 255, subtract mean, divide by std, per channel",
)
"""What is done to an image, in order, for whoever repeats it elsewhere; kept in `model.json`."""

_WHITE = (255, 255, 255, 255)


@dataclass(frozen=True)
class Preprocessing:
    """Deterministic preprocessing of one image; written into `model.json` so that it travels."""

    height: int
    width: int
    channels: int
    """1 for grey, 3 for RGB."""
    mean: tuple[float, ...]
    """Per channel, of pixels scaled to 0..1."""
    std: tuple[float, ...]
    crop: float = 1.0
    """Share of an image's height and width that is looked at, around its centre."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        fields = asdict(self)
        return {
            key: list(item) if isinstance(item, tuple) else item for key, item in fields.items()
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Preprocessing":
        """Return the object that `to_dict` described; other keys are for people."""
        own = {key: fields[key] for key in cls.__dataclass_fields__ if key in fields}
        return cls(**own | {"mean": tuple(fields["mean"]), "std": tuple(fields["std"])})

    def to_pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return uint8 [height, width, channels]: upright, filling the frame, cut at the centre."""
        image = upright(image, self.channels)
        if image.size != (self.width, self.height) or self.crop < 1:
            image = ImageOps.fit(
                image,
                (self.width, self.height),
                Image.Resampling.BILINEAR,
                bleed=(1 - self.crop) / 2,
            )
        return to_array(image)

    def normalise(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return float32 [batch, channels, height, width] of uint8 [batch, height, width, any].

        A set of other channels is adapted: grey is repeated, RGB is weighted as PIL's `L` does.
        """
        scaled = _match_channels(pixels, self.channels).astype(np.float32) / np.float32(255)
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        return np.ascontiguousarray(((scaled - mean) / std).transpose(0, 3, 1, 2))


def upright(image: Image.Image, channels: int) -> Image.Image:
    """Return an image of 8 bits as a person sees it, grey for 1 channel or RGB for 3.

    Raises:
        ValueError: the pixels have no known range.
        OSError: the file is damaged.
    """
    image = _to_8_bits(ImageOps.exif_transpose(image))
    if _may_be_transparent(image):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image)
    return image.convert("L" if channels == 1 else "RGB")


def to_array(image: Image.Image) -> NDArray[np.uint8]:
    """Return uint8 [height, width, channels] of a grey or RGB image."""
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels.reshape(image.height, image.width, -1)


def is_grey(image: Image.Image) -> bool:
    """Return whether a file has no colour by its mode, whatever its pixels are."""
    return image.mode in {"1", "L", "LA", "I"} or image.mode.startswith("I;16")


def _to_8_bits(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are floats, of no known range")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() >= 2**16:
            raise ValueError("its pixels have more than 16 bits")
        return Image.fromarray((values >> 8).astype(np.uint8))
    return image


def _may_be_transparent(image: Image.Image) -> bool:
    """Return what Pillow says by `has_transparency_data`, which it has from 10.1 on only."""
    if image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info:
        return True
    return image.palette is not None and image.mode == "P" and image.palette.mode.endswith("A")


def _match_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    given = pixels.shape[-1]
    if given == channels:
        return pixels
    assert {given, channels} == {1, 3}, f"cannot make {channels} channels of {given}"
    if given == 1:
        return pixels.repeat(3, axis=-1)
    grey = pixels.astype(np.uint32) @ np.array([[19595], [38470], [7471]], np.uint32)
    return ((grey + 0x8000) >> 16).astype(np.uint8)
