"""Networks that split channels by widths which they keep as numbers."""

import torch
from torch import Tensor, nn


class Mixed(nn.Module):
    """As MixNet: channels are split for kernels of several sizes, by widths that it remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.splits = [20, 12]
        self.a, self.norm = nn.Conv2d(3, 32, 1), nn.BatchNorm2d(32)
        self.small = nn.Conv2d(20, 20, 3, padding=1, groups=20)
        self.large = nn.Conv2d(12, 12, 5, padding=2, groups=12)
        self.head = nn.Linear(32, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.norm(self.a(images)).relu()
        one, two = torch.split(x, self.splits, 1)
        return self.head(torch.cat([self.small(one), self.large(two)], 1).relu().mean((2, 3)))


class Selective(nn.Module):
    """As SKNet: a part of the channels for each path, a softmax over paths, and their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.channels, self.num_paths = 32, 2
        self.a = nn.Conv2d(3, 32, 3, padding=1)
        self.paths = nn.ModuleList(nn.Conv2d(16, 24, 3, padding=1) for _ in range(2))
        self.reduce, self.select = nn.Conv2d(24, 8, 1), nn.Conv2d(8, 48, 1)
        self.head = nn.Linear(24, 5)

    def forward(self, images: Tensor) -> Tensor:
        parts = self.a(images).relu().split(self.channels // self.num_paths, dim=1)
        x = torch.stack([path(parts[each]) for each, path in enumerate(self.paths)], dim=1)
        gate = self.select(self.reduce(x.sum(1).mean((2, 3), keepdim=True)).relu())
        batch, channels, height, width = gate.shape
        gate = gate.view(batch, self.num_paths, channels // self.num_paths, height, width)
        return self.head((x * gate.softmax(dim=1)).sum(dim=1).mean((2, 3)))
