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


class Hierarchical(nn.Module):
    """As Res2Net: each part of a split is added to what a layer made of the part before."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 8
        self.a, self.wide = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 32, 1)
        self.convs = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(3))
        self.c, self.head = nn.Conv2d(32, 16, 1), nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.a(images).relu()
        parts = torch.split(self.wide(x).relu(), self.width, 1)
        made = [self.convs[0](parts[0]).relu()]
        for place in (1, 2):
            made.append(self.convs[place](made[-1] + parts[place]).relu())
        return self.head((x + self.c(torch.cat([*made, parts[3]], 1))).mean((2, 3)))
