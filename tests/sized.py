"""Networks whose code asks how many channels there are, or how large a map is."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Between = Callable[[Tensor], Tensor]


class Sized(nn.Module):
    """Two convolutions, and what stands between them."""

    def __init__(self, between: Between) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 16, 1)
        self.head, self.between = nn.Linear(16, 5), between

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.b(self.between(self.a(images).relu())).relu().mean((2, 3)))


class Asking(nn.Module):
    """Divides by a width that it asks a layer for."""

    def __init__(self, is_of_next: bool) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 16, 1)
        self.head, self.is_of_next = nn.Linear(16, 5), is_of_next

    def forward(self, images: Tensor) -> Tensor:
        width = self.b.in_channels if self.is_of_next else self.a.out_channels
        return self.head(self.b(self.a(images).relu() / width).relu().mean((2, 3)))


class Neighbours(nn.Module):
    """Averages neighbouring channels."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d((1, 3), 1, (0, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Compared(nn.Module):
    """Two widths are compared, of layers that are added or not."""

    def __init__(self, is_sum: bool) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(3, 32, 1)
        self.head, self.is_sum = nn.Linear(32, 5), is_sum

    def forward(self, images: Tensor) -> Tensor:
        one, two = self.a(images).relu(), self.b(images).relu()
        gate = two if self.is_sum else two.amax((1, 2, 3), keepdim=True)
        return self.head((one + gate if one.shape[1] == two.shape[1] else one).mean((2, 3)))


def power(x: Tensor) -> Tensor:
    return x * x.size(1) ** -0.5


def root(x: Tensor) -> Tensor:
    return x / math.sqrt(x.shape[1])


def share(x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    return x.reshape(batch, channels, height * width).sum(-1)[..., None, None] / channels


def filled(x: Tensor) -> Tensor:
    return x * torch.full((1,), x.size(1))


def half(x: Tensor) -> Tensor:
    kept = int(x.shape[1] * 0.5)
    return torch.cat([x[:, :kept] * 2, x[:, kept:]], 1)


def pooled(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x.permute(0, 2, 3, 1), (1, 3), 1, (0, 1)).permute(0, 3, 1, 2)


def resized(x: Tensor) -> Tensor:
    return functional.interpolate(x.permute(0, 2, 3, 1), (16, 32)).permute(0, 3, 1, 2)


def shifted(x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    parts = x.view(batch, 4, channels // 4, height, width)
    padded = functional.pad(parts, (0, 0, 0, 0, 1, 0))
    return padded[:, :, :-1].reshape(batch, channels, height, width)


def many(x: Tensor) -> Tensor:
    return x if x.shape[1] > 24 else 2 * x


COMPUTED = [power, root, share, filled, half, pooled, Neighbours(), resized, shifted, many]
"""Another number of channels would answer otherwise."""


def reshaped(x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    flat = x.reshape(batch, channels, height * width)
    return flat.mean(2).view(batch, channels, 1, 1).expand(batch, channels, height, width)


def averaged(x: Tensor) -> Tensor:
    return x.sum((2, 3), keepdim=True) / (x.size(2) * x.size(3) * x.shape[0])


def as_large(x: Tensor) -> Tensor:
    return functional.interpolate(functional.avg_pool2d(x, x.shape[3] // 2), x.shape[2:])


def shuffled(x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    torch._assert(channels % 4 == 0, "there is a remainder")
    return x.view(batch, 4, channels // 4, height, width).transpose(1, 2).flatten(1, 2)


def few(x: Tensor) -> Tensor:
    return x if x.shape[1] > 10 else 2 * x


def in_fours(x: Tensor) -> Tensor:
    return x if x.shape[1] % 4 == 0 else 2 * x


SHAPED = [reshaped, averaged, as_large, shuffled, few, in_fours]
"""The same at any number of channels, at a multiple of four, or above ten."""
