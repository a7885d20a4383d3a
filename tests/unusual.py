"""Networks that do with channels what can be followed in part, or not at all."""

from math import inf

import torch
from torch import Tensor, nn
from torch.nn import functional


class _Base(nn.Module):
    """A stem of 32 channels that remembers its half, and a classifier."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.stem, self.half = nn.Conv2d(3, 32, 3, padding=1), 16
        self.out, self.head = nn.Conv2d(width, 32, 1), nn.Linear(32, 5)

    def joined(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, images: Tensor) -> Tensor:
        x = self.joined(self.stem(images).relu())
        return self.head(self.out(x).relu().mean((2, 3)))


class Scaled(_Base):
    """The number that decides a split is a divisor as well."""

    def __init__(self) -> None:
        super().__init__(16)

    def joined(self, x: Tensor) -> Tensor:
        one, two = torch.split(x, self.half, 1)
        return (one + two) / self.half


class Pooled(_Base):
    """A half goes through something without weights."""

    def joined(self, x: Tensor) -> Tensor:
        one, two = torch.split(x, self.half, 1)
        return torch.cat([one, functional.max_pool2d(two, 3, 1, 1)], 1)


class Weighted(_Base):
    """A map for each of two weights, in turn for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.select = nn.Conv2d(32, 64, 1)

    def joined(self, x: Tensor) -> Tensor:
        gates = self.select(x.mean((2, 3), keepdim=True)).view(-1, 2, 32, 1, 1).softmax(1)
        return (x.unsqueeze(1) * gates).sum(1)


class Experts(_Base):
    """A weight for each of two branches."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(32, 32, 1), nn.Conv2d(32, 32, 3, padding=1)
        self.gate = nn.Linear(32, 2)

    def joined(self, x: Tensor) -> Tensor:
        gates = self.gate(x.mean((2, 3))).sigmoid().view(-1, 2, 1, 1, 1)
        return (torch.stack([self.one(x), self.two(x)], 1) * gates).sum(1)


class Mixture(_Base):
    """Experts whose weights add up to one, as a list of them is written most often."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(nn.Conv2d(32, 32, 3, padding=1) for _ in range(3))
        self.gate = nn.Linear(32, 3)

    def joined(self, x: Tensor) -> Tensor:
        gates = torch.softmax(self.gate(x.mean((2, 3))), dim=-1)
        mixed: Tensor = 0  # type: ignore[assignment]
        for place, expert in enumerate(self.experts):
            mixed = mixed + expert(x).relu() * gates[:, place][:, None, None, None]
        return mixed


class Weighed(_Base):
    """Channels that are weighed against one another."""

    def joined(self, x: Tensor) -> Tensor:
        return x * x.mean((2, 3), keepdim=True).softmax(1)


class Tokens(_Base):
    """A layer reads stacked vectors as tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(32, 16, 1), nn.Conv2d(32, 16, 1)
        self.project = nn.Linear(16, 32)

    def joined(self, x: Tensor) -> Tensor:
        stacked = torch.stack([each(x).mean((2, 3)) for each in (self.one, self.two)], 1)
        return self.project(stacked).relu().mean(1).view(x.size(0), -1, 1, 1)


class Outer(_Base):
    """Every channel of one meets every channel of the other, as in bilinear pooling."""

    def __init__(self) -> None:
        super().__init__(64)
        self.one, self.two = nn.Conv2d(32, 8, 1), nn.Conv2d(32, 8, 1)

    def joined(self, x: Tensor) -> Tensor:
        one, two = (each(x).mean((2, 3)) for each in (self.one, self.two))
        return (one.unsqueeze(2) * two.unsqueeze(1)).flatten(1)[:, :, None, None]


class Fourths(_Base):
    """A sum over four, each a quarter of the channels."""

    def __init__(self) -> None:
        super().__init__(8)

    def joined(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        return x.view(batch, 4, -1, height, width).sum(1)


class Padded(_Base):
    """Places are padded with zeros, and with what is never the largest."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(32, 32, 3)

    def joined(self, x: Tensor) -> Tensor:
        x = self.inner(functional.pad(x, (1, 1, 1, 1)))
        return functional.max_pool2d(functional.pad(x, (0, 1, 0, 1), value=-inf), 2, 1)


class PaddedByOnes(_Base):
    """A channel of zeros has ones at its border."""

    def joined(self, x: Tensor) -> Tensor:
        return functional.pad(x, (1, 1, 1, 1), "constant", 1.0)


class PaddedChannels(_Base):
    """Channels of zeros are added, as in the first ResNets' shortcuts."""

    def __init__(self) -> None:
        super().__init__(48)

    def joined(self, x: Tensor) -> Tensor:
        return functional.pad(x, (0, 0, 0, 0, 0, 16))


class Expanded(_Base):
    """A gate is expanded to all places, another to all channels."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.place = nn.Linear(32, 32), nn.Conv2d(32, 1, 1)

    def joined(self, x: Tensor) -> Tensor:
        batch, channels, _, _ = x.size()
        gate = self.gate(x.mean((2, 3))).sigmoid().view(batch, channels, 1, 1).expand_as(x)
        return x * gate * self.place(x).sigmoid().expand(-1, -1, 16, 16)


class Halved(_Base):
    """One half of the channels is a gate of the other, and places change theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.two, self.glu = nn.Conv2d(32, 64, 1), nn.GLU(1)

    def joined(self, x: Tensor) -> Tensor:
        x = functional.glu(self.two(x), dim=1).flip(3) + self.glu(self.two(x)).roll(1, 2)
        return x * x.std((2, 3), keepdim=True).abs().sqrt().clone()


class Masked(_Base):
    """Takes more than images, if it is given more."""

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.stem(images).relu()
        if mask is not None:
            x = x * mask.view(-1, 1, 16, 16)
        return self.head(self.out(x).relu().mean((2, 3)))


class Positioned(_Base):
    """Has weights of its own, in another shape than it needs, and numbers that it makes."""

    def __init__(self) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.randn(32))

    def joined(self, x: Tensor) -> Tensor:
        places = torch.arange(16.0).view(1, 1, 1, -1) / 16
        return x * self.strength.view(1, -1, 1, 1) + places


class Residual(nn.Module):
    """Is left out where maps are small."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.back = nn.Conv2d(32, 64, 1), nn.Conv2d(64, 32, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.back(self.wide(x).relu()) if x.shape[2] > 4 else x


class Asking(_Base):
    """A part of it decides by the shape of maps."""

    def __init__(self) -> None:
        super().__init__()
        self.part = Residual()

    def joined(self, x: Tensor) -> Tensor:
        return self.part(x)


class GatedGroups(_Base):
    """A convolution of groups, half of which are gates of the others."""

    def __init__(self) -> None:
        super().__init__()
        self.of_groups = nn.Conv2d(32, 64, 3, padding=1, groups=4)

    def joined(self, x: Tensor) -> Tensor:
        return nn.functional.glu(self.of_groups(x), 1)


class Activated(_Base):
    """Activations that few networks have."""

    def __init__(self) -> None:
        super().__init__()
        self.acts = nn.Sequential(
            nn.Softsign(), nn.Softshrink(0.1), nn.Hardshrink(0.1), nn.Tanhshrink(),
            nn.Threshold(0.01, 0.0), nn.RReLU(),
        )  # fmt: skip

    def joined(self, x: Tensor) -> Tensor:
        return functional.softsign(functional.hardshrink(self.acts(x * 20), 0.01))


class Instances(_Base):
    """Each channel of each image is normalised by itself, with and without weights."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.InstanceNorm2d(32, affine=True), nn.Conv2d(32, 24, 1))
        self.two = nn.Sequential(nn.InstanceNorm2d(24), nn.ReLU(), nn.Conv2d(24, 32, 1))
        self.last = nn.InstanceNorm2d(32, affine=True, track_running_stats=True)

    def joined(self, x: Tensor) -> Tensor:
        return self.last(self.two(self.one(x)))


class InstancesOfRows(_Base):
    """Channels are normalised together, since they were moved to another place."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(16)

    def joined(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


KINDS = [
    Activated,
    Instances,
    InstancesOfRows,
    GatedGroups,
    Scaled,
    Pooled,
    Weighted,
    Experts,
    Mixture,
    Weighed,
    Tokens,
    Outer,
    Fourths,
    Padded,
    PaddedByOnes,
    PaddedChannels,
    Expanded,
    Halved,
    Masked,
    Positioned,
    Asking,
]
