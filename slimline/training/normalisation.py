"""The last step of preprocessing, on the device: to the bytes that `Preprocessing.normalise` gives.

Images travel as uint8, a quarter of the bytes: from workers, through pinned memory, to a GPU.
"""

import torch
from torch import Tensor

from slimline.data.preprocessing import Preprocessing

_GREY = (19595, 38470, 7471)
"""Of red, green and blue, in 2 ** 16 steps: ITU-R 601-2, as Pillow's `L`."""


class Normaliser:
    """Divides by 255, subtracts the mean and divides by the spread, of each channel."""

    def __init__(self, preprocessing: Preprocessing, device: torch.device) -> None:
        self._device, self._channels = device, preprocessing.channels
        # Dividing by a number, a GPU would multiply by its inverse; by a tensor it divides.
        self._white = torch.tensor(255, dtype=torch.float32, device=device)
        self._mean, self._std = (
            torch.tensor(values, dtype=torch.float32, device=device).view(1, -1, 1, 1)
            for values in (preprocessing.mean, preprocessing.std)
        )

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return float32 [batch, channels, height, width] of uint8 [batch, any, height, width].

        A set of other channels is adapted: grey is repeated, RGB is weighted as PIL's `L` does.
        """
        moved = _match_channels(pixels.to(self._device, non_blocking=True), self._channels)
        return ((moved.float() / self._white - self._mean) / self._std).contiguous()


def _match_channels(pixels: Tensor, channels: int) -> Tensor:
    given = pixels.shape[1]
    if given == channels:
        return pixels
    assert {given, channels} == {1, 3}, f"cannot make {channels} channels of {given}"
    if given == 1:
        return pixels.expand(-1, 3, -1, -1)
    weights = torch.tensor(_GREY, dtype=torch.int32, device=pixels.device).view(1, 3, 1, 1)
    grey = (pixels.int() * weights).sum(1, keepdim=True, dtype=torch.int32)
    return (grey + 0x8000) >> 16
