"""Networks that flatten maps which are larger than 1x1, in every order that people write."""

import torch
from torch import Tensor, nn


class _Base(nn.Module):
    """Maps of 32 channels and 3x3 places, and a classifier of what is made of them."""

    features = 32 * 9

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.pool = nn.Conv2d(3, 32, 3), nn.AdaptiveAvgPool2d(3)
        self.between, self.head = nn.Identity(), nn.Linear(self.features, 5)

    def flat(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.flat(self.pool(self.stem(images).relu()))
        return self.head(self.between(x).relu())


class ByPlace(_Base):
    """As networks that come from Keras: all channels of a place stand together."""

    def flat(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Tokens(_Base):
    """The same by way of tokens."""

    def flat(self, x: Tensor) -> Tensor:
        return x.flatten(2).transpose(1, 2).reshape(x.size(0), -1)


class Pyramid(_Base):
    """Joined flat, of channels that stand in nine places and in one."""

    features = 32 * 10

    def flat(self, x: Tensor) -> Tensor:
        return torch.cat([x.flatten(1), x.mean((2, 3))], 1)


class NormalisedPyramid(Pyramid):
    """The same, which a BatchNorm reads first."""

    def __init__(self) -> None:
        super().__init__()
        self.between = nn.BatchNorm1d(self.features)


class BothOrders(_Base):
    """Two layers read the same maps in either order."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.other = nn.Linear(self.features, 5), nn.Linear(self.features, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.pool(self.stem(images).relu())
        by_place, by_channel = x.permute(0, 2, 3, 1).flatten(1), x.flatten(1)
        return self.head(by_place) + self.other(by_channel)


class Normalised(_Base):
    """A BatchNorm of every feature."""

    def __init__(self) -> None:
        super().__init__()
        self.between = nn.BatchNorm1d(self.features)


class NormalisedByPlace(ByPlace):
    """The same where all channels of a place stand together, and a PReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.between = nn.Sequential(nn.BatchNorm1d(self.features), nn.PReLU(self.features))


class Plain(_Base):
    """A BatchNorm without weights, as in front of a linear probe.

    It makes of a channel at zero another number, so that the narrow network is not the wide one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.between = nn.BatchNorm1d(self.features, affine=False)


class BehindTheUnknown(_Base):
    """Layers behind what cannot be followed, of which nothing says that there are many places."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(32, 24), nn.Linear(24, 32)

    def flat(self, x: Tensor) -> Tensor:
        x = torch.sort(x.flatten(2).transpose(1, 2), dim=-1)[0]
        return self.second(self.first(x).relu()).relu().flatten(1)


KINDS = [
    ByPlace, Tokens, Pyramid, NormalisedPyramid, BothOrders, Normalised, NormalisedByPlace,
    BehindTheUnknown,
]  # fmt: skip
