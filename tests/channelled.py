"""Networks with modules of a user's own that have weights for each channel."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Response(nn.Module):
    """Global response normalisation, as ConvNeXtV2 has it; channels are last."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.randn(1, 1, 1, channels))
        self.beta = nn.Parameter(torch.randn(1, 1, 1, channels))

    def forward(self, maps: Tensor) -> Tensor:
        strength = maps.norm(p=2, dim=(1, 2), keepdim=True)
        share = strength / (strength.mean(dim=-1, keepdim=True) + 1e-6)
        return self.gamma * (maps * share) + self.beta + maps


class Gain(nn.Module):
    """A factor per channel, which changes what it is given."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.randn(channels, 1, 1))

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mul_(self.gain)


class Responding(nn.Module):
    """A block of ConvNeXtV2: what is behind LayerNorm widens, and is narrowed."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 16, 3), nn.LayerNorm(16)
        self.wide, self.response, self.back = nn.Linear(16, 40), Response(40), nn.Linear(40, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.a(images).permute(0, 2, 3, 1)
        wide = self.response(functional.gelu(self.wide(self.norm(maps))))
        return self.head((maps + self.back(wide)).mean((1, 2)))


class Gained(nn.Module):
    """A gain between two convolutions, called twice, and one after GroupNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(3, 24, 3), nn.Conv2d(24, 16, 3), nn.Conv2d(16, 16, 1)
        self.first, self.norm, self.second = Gain(24), nn.GroupNorm(4, 16), Gain(16)
        self.head = nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.first(torch.relu(self.first(self.a(images))))
        maps = self.second(self.norm(self.b(maps)))
        return self.head(self.c(maps).mean((2, 3)))


class GatedPart(nn.Module):
    """A block of MambaOut: of what is behind LayerNorm, a part goes through a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 16, 3), nn.LayerNorm(16)
        self.wide, self.parts = nn.Linear(16, 48), (24, 16, 8)
        self.conv, self.back = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Linear(24, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.a(images).permute(0, 2, 3, 1)
        gate, plain, mixed = torch.split(self.wide(self.norm(maps)), self.parts, dim=-1)
        mixed = self.conv(mixed.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        back = self.back(functional.silu(gate) * torch.cat((plain, mixed), dim=-1))
        return self.head((maps + back).mean((1, 2)))


KINDS = [Responding, Gained, GatedPart]
