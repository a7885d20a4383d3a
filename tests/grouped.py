"""Networks with GroupNorm, whose groups can go one by one."""

import torch
from timm.layers import GroupNormAct
from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    """A residual stream, and a layer whose groups are of another size."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 24, 3, padding=1)
        self.c, self.head = nn.Conv2d(24, 32, 1), nn.Linear(32, 5)
        self.norm, self.other = nn.GroupNorm(8, 32), nn.GroupNorm(4, 24)

    def forward(self, images: Tensor) -> Tensor:
        x = self.norm(self.a(images)).relu()
        x = x + self.c(self.other(self.b(x)).relu())
        return self.head(self.norm(x).mean((2, 3)))


class Plain(nn.Module):
    """GroupNorm without weights, and timm's, which has an activation inside."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 24, 3), nn.GroupNorm(6, 24, affine=False)
        self.b, self.act = nn.Conv2d(24, 32, 1), GroupNormAct(32, 4)
        self.head = nn.Linear(32, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.act(self.b(self.norm(self.a(images)).relu())).mean((2, 3)))


class Crossed(nn.Module):
    """Groups that are made of the channels of two layers, beside some that are not."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 20, 3), nn.Conv2d(3, 28, 3)
        self.norm, self.head = nn.GroupNorm(6, 48), nn.Linear(48, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = torch.cat([self.a(images), self.b(images)], 1)
        return self.head(self.norm(x).relu().mean((2, 3)))


class Halved(nn.Module):
    """Groups that a split and a gate part: narrower, their halves would end within a group."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 32, 3), nn.GroupNorm(4, 32)
        self.b, self.c = nn.Conv2d(16, 32, 1), nn.Conv2d(16, 32, 1)
        self.other, self.head = nn.GroupNorm(4, 32), nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        one, two = self.norm(self.a(images)).chunk(2, 1)
        x = functional.glu(self.other(self.b(one) + self.c(two).relu()), 1)
        return self.head(x.mean((2, 3)))


class Shuffled(nn.Module):
    """Groups whose channels are shuffled afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 32, 3), nn.GroupNorm(4, 32)
        self.b, self.head = nn.Conv2d(32, 16, 1), nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.norm(self.a(images)).relu()
        x = x.unflatten(1, (2, 16)).transpose(1, 2).flatten(1, 2)
        return self.head(self.b(x).mean((2, 3)))


class Viewed(nn.Module):
    """Groups that a view hands on as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 32, 3), nn.GroupNorm(4, 32)
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(32, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.pool(self.norm(self.a(images)))
        return self.head(x.view(x.size(0), -1))


KINDS = [Residual, Plain, Crossed, Halved, Shuffled, Viewed]
