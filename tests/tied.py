"""Networks in which one weight or buffer stands in several places."""

import torch
from torch import Tensor, nn

CLASSES = 5


class _Base(nn.Module):
    """Two convolutions with BatchNorm, and what stands between them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 24, 3, 2, 1), nn.BatchNorm2d(24)
        self.b, self.last = nn.Conv2d(24, 16, 3, 2, 1), nn.BatchNorm2d(16)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.between(self.norm(self.a(images)).relu())
        answer: Tensor = self.head(self.last(self.b(maps)).relu().mean((2, 3)))
        return answer

    def between(self, maps: Tensor) -> Tensor:
        return maps


class _Window(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.rand(1, 24, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        return maps * self.window


class Windows(_Base):
    """Two modules share a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = _Window(), _Window()
        self.other.window = self.one.window

    def between(self, maps: Tensor) -> Tensor:
        seen: Tensor = self.other(self.one(maps).relu())
        return seen


class Offsets(_Base):
    """Two modules share an offset of each channel, which is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.ParameterList([]), nn.ParameterList([])
        self.one.append(torch.randn(1, 24, 1, 1))
        self.other.append(self.one[0])

    def between(self, maps: Tensor) -> Tensor:
        return (maps + self.one[0]).relu() + self.other[0]


class Aliases(_Base):
    """Layers stand under names, and in a Sequential besides, as fastai and others write it."""

    def __init__(self) -> None:
        super().__init__()
        relu = nn.ReLU()
        self.features = nn.Sequential(self.a, self.norm, relu, self.b, self.last, relu)

    def forward(self, images: Tensor) -> Tensor:
        answer: Tensor = self.head(self.features(images).mean((2, 3)))
        return answer


class Repeated(_Base):
    """One block stands several times in a list, as in ALBERT."""

    def __init__(self) -> None:
        super().__init__()
        block = nn.Sequential(nn.Conv2d(24, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU())
        self.blocks = nn.Sequential(block, block, block)

    def between(self, maps: Tensor) -> Tensor:
        seen: Tensor = self.blocks(maps)
        return seen


class Weights(_Base):
    """Two layers share a weight, and have BatchNorm of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.there, self.back = (nn.Conv2d(24, 24, 1, bias=False) for _ in range(2))
        self.back.weight = self.there.weight
        self.one, self.other = nn.BatchNorm2d(24), nn.BatchNorm2d(24)

    def between(self, maps: Tensor) -> Tensor:
        seen: Tensor = self.other(self.back(self.one(self.there(maps)).relu()))
        return seen.relu()


KINDS: list[type[nn.Module]] = [Windows, Offsets, Aliases, Repeated, Weights]
