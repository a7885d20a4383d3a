"""Images for a file that normalises by itself: preprocessing without its last step."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slimline.data.preprocessing import Preprocessing, match_channels


@dataclass(frozen=True)
class RawPixels(Preprocessing):
    """As `Preprocessing`, but that pixels stay as they are; mean and std are the file's affair."""

    channels_last: bool = False
    """[batch, height, width, channels], as images lie in memory, instead of channels first."""

    @property
    def steps(self) -> list[str]:
        """What is done to an image before it is handed to the file, in order."""
        *before, _ = super().steps
        return before

    @property
    def layout(self) -> str:
        """`nhwc` or `nchw`, as `model.json` calls it."""
        return "nhwc" if self.channels_last else "nchw"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image."""
        height, width, channels = self.height, self.width, self.channels
        return (height, width, channels) if self.channels_last else (channels, height, width)

    def normalise(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:  # type: ignore[override]
        """Return what the file takes, uint8, of uint8 [batch, height, width, any].

        A set of other channels is adapted as for other files.
        """
        matched = match_channels(pixels, self.channels)
        ordered = matched if self.channels_last else matched.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(ordered)
