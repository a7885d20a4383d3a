"""From an image file to the numbers that a model sees; the same everywhere, and free of torch.

`to_pixels` (decode, EXIF, resize, crop) and `normalise` are what validation, evaluate, benchmark
and a deployment do. Random augmentation for training lives in `slimline.core.loading`.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps


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

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        fields = asdict(self)
        return {
            key: list(item) if isinstance(item, tuple) else item for key, item in fields.items()
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Preprocessing":
        """Return the object that `to_dict` described."""
        fields = fields | {"mean": tuple(fields["mean"]), "std": tuple(fields["std"])}
        return cls(**fields)

    def to_pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return uint8 [height, width, channels]: upright, filling the frame, cut at the centre."""
        image = ImageOps.exif_transpose(image).convert("L" if self.channels == 1 else "RGB")
        if image.size != (self.width, self.height):
            image = ImageOps.fit(image, (self.width, self.height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image, dtype=np.uint8)
        return pixels.reshape(self.height, self.width, self.channels)

    def normalise(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return float32 [batch, channels, height, width] of uint8 [batch, height, width, any].

        A set of other channels is adapted: grey is repeated, RGB is weighted as PIL's `L` does.
        """
        scaled = _match_channels(pixels, self.channels).astype(np.float32) / np.float32(255)
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        return np.ascontiguousarray(((scaled - mean) / std).transpose(0, 3, 1, 2))


def _match_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    given = pixels.shape[-1]
    if given == channels:
        return pixels
    assert {given, channels} == {1, 3}, f"cannot make {channels} channels of {given}"
    if given == 1:
        return pixels.repeat(3, axis=-1)
    grey = pixels.astype(np.uint32) @ np.array([[19595], [38470], [7471]], np.uint32)
    return ((grey + 0x8000) >> 16).astype(np.uint8)
