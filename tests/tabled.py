"""Networks whose `forward` makes tables and kernels of numbers: of places, of edges, of windows."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class _Tabled(nn.Module):
    """Two convolutions, and what stands between them."""

    def __init__(self, more: int = 0) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32 + more, 16, 1)
        self.head = nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.between(self.a(images).relu())
        answer: Tensor = self.head(self.b(maps).relu().mean((2, 3)))
        return answer

    def between(self, maps: Tensor) -> Tensor:
        return maps


class Coordinates(_Tabled):
    """As CoordConv: each place is told where it is, in two channels more."""

    def __init__(self) -> None:
        super().__init__(2)

    def between(self, maps: Tensor) -> Tensor:
        height, width = maps.shape[2:]
        places = maps.new_zeros(1, 2, height, width)
        places[:, 0] = torch.linspace(-1, 1, height, device=maps.device)[:, None]
        places[:, 1] = torch.linspace(-1, 1, width)
        return torch.cat([maps, places.expand(maps.shape[0], -1, -1, -1)], 1)


class Stacked(_Tabled):
    """The same, as a grid that is stacked, and of one row alone."""

    def __init__(self) -> None:
        super().__init__(3)

    def between(self, maps: Tensor) -> Tensor:
        batch, _, height, width = maps.shape
        rows, columns = (torch.linspace(-1, 1, each) for each in (height, width))
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
        row = columns.view(1, 1, 1, -1).expand(batch, 1, height, -1)
        return torch.cat((maps, grid[None].expand(batch, -1, -1, -1), row), axis=1)  # type: ignore[call-arg]


class Widened(_Tabled):
    """As a shortcut of ResNet for CIFAR: as many channels of zeros as there are."""

    def __init__(self) -> None:
        super().__init__(32)

    def between(self, maps: Tensor) -> Tensor:
        zeros = maps.new_zeros(maps.shape)
        zeros[:, :, 0] = 0.5
        return torch.cat([maps, zeros], 1)


class Windowed(_Tabled):
    """Places at the edge count for less, as much as is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor([2.0]))

    def between(self, maps: Tensor) -> Tensor:
        height, width = maps.shape[2:]
        window = torch.ones(height, width, device=maps.device)
        window[0] = window[-1] = 0.5
        window[:, 0] = window[:, -1] = 0.25
        return maps * (window * self.gain)


class Remembered(_Tabled):
    """A table that is made in the first call, and kept for the next."""

    def __init__(self) -> None:
        super().__init__()
        self.grid: Tensor | None = None

    def between(self, maps: Tensor) -> Tensor:
        if self.grid is None or self.grid.shape[-2:] != maps.shape[-2:]:
            row = torch.linspace(0.5, 1, maps.shape[3], device=maps.device)
            self.grid = row.view(1, 1, 1, -1).repeat(1, 1, maps.shape[2], 1)
        return maps * self.grid


class Normalised(_Tabled):
    """Images are normalised by numbers in the code, and have edges as channels."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(5, 32, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        mean, deviation = torch.tensor([0.4, 0.5, 0.4]), torch.tensor([0.2, 0.3, 0.2])
        images = (images - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)
        kernel = torch.zeros(2, 1, 3, 3)
        kernel[0, 0, :, 0] = torch.tensor([1.0, 2.0, 1.0])
        kernel[0, 0, :, 2] = -kernel[0, 0, :, 0]
        kernel[1, 0] = kernel[0, 0].t()
        edges = functional.conv2d(images.mean(1, keepdim=True), kernel, padding=1)
        return super().forward(torch.cat([images, edges], 1))


class Blurred(_Tabled):
    """A kernel for each channel, as many as there are."""

    def between(self, maps: Tensor) -> Tensor:
        row = torch.tensor([1.0, 2.0, 1.0], device=maps.device)
        kernel = (row[:, None] * row / 16).expand(maps.shape[1], 1, 3, 3)
        return functional.conv2d(maps, kernel, stride=2, padding=1, groups=maps.shape[1])


class Shifted(_Tabled):
    """A part of the channels is written into a table: what that holds is none of numbers."""

    def between(self, maps: Tensor) -> Tensor:
        found = maps.new_zeros(maps.shape)
        found[:, :16, 1:] = maps[:, :16, :-1]
        found[:, 16:] = maps[:, 16:]
        return found


class ByChannel(_Tabled):
    """A number in the code for each channel."""

    def between(self, maps: Tensor) -> Tensor:
        return maps * torch.linspace(0.5, 1.5, 32).view(1, -1, 1, 1)


class Chosen(_Tabled):
    """A number for each channel is the largest of several that are trained."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.rand(4, 32))

    def between(self, maps: Tensor) -> Tensor:
        largest, least = self.rows.max(0).values, self.rows.sort(0)[0][0]
        return maps * largest.view(1, -1, 1, 1) + least.view(1, -1, 1, 1)


class Viewed(_Tabled):
    """A table of ones is changed through a part of it."""

    def between(self, maps: Tensor) -> Tensor:
        table = maps.new_ones(1, maps.shape[1], 1, 1)
        table[:, maps.shape[1] // 4 * 3 :].zero_()
        return maps * table


class Summed(_Tabled):
    """How many channels there are is found by adding ones."""

    def between(self, maps: Tensor) -> Tensor:
        return maps * maps.new_ones(maps.shape[1]).sum()


class Accumulated(_Tabled):
    """Maps are added to a table in place."""

    def between(self, maps: Tensor) -> Tensor:
        table = torch.zeros(1)
        table += maps.mean()
        return maps + table


class Infinite(_Tabled):
    """Masks with numbers that no integer is, and one that is smaller than the maps."""

    def between(self, maps: Tensor) -> Tensor:
        mask = torch.triu(maps.new_full((maps.shape[2], maps.shape[3]), float("-inf")), 1)
        less = maps.new_zeros(maps.shape[0], 1, maps.shape[2] - 2, 1)
        return maps * mask.exp() + less.sum()


class Typed(_Tabled):
    """A table takes its type from the maps."""

    def between(self, maps: Tensor) -> Tensor:
        height, width = maps.shape[2:]
        rows, columns = (torch.linspace(-1, 1, each) for each in (height, width))
        return maps * rows[:, None].type_as(maps) * columns.to(maps)


class Alike(_Tabled):
    """Tables as large as the maps."""

    def between(self, maps: Tensor) -> Tensor:
        return torch.maximum(maps, torch.zeros_like(maps)) * torch.full_like(maps, 0.5)


WHOLE = {
    Coordinates: [],
    Stacked: [],
    Widened: ["a"],
    Windowed: [],
    Remembered: [],
    Normalised: ["forward"],
    Blurred: ["a", "forward"],
    Shifted: ["a"],
    ByChannel: ["a"],
    Chosen: ["a"],
    Viewed: ["a"],
    Summed: ["a"],
    Accumulated: ["a"],
    Infinite: ["a"],
    Typed: [],
    Alike: [],
}
"""The layers of each that stay as wide as they are, and where work is done that no layer does."""
KINDS = list(WHOLE)
