"""Modules that attend, as people write them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from slimline.networks.plain_transformers import PlainAttention


class Attention(nn.Module):
    """As timm writes it: one layer for queries, keys and values, and two numbers of heads."""

    def __init__(self, dim: int = 24, heads: int = 4, inner: int = 6) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.attn_dim = heads, inner, heads * inner
        self.qkv, self.norm = nn.Linear(dim, 3 * self.attn_dim), nn.LayerNorm(inner)
        self.proj = nn.Linear(self.attn_dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        batch, tokens, _ = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.num_heads, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        x = functional.scaled_dot_product_attention(self.norm(q), k, v, attn_mask=mask)
        return self.proj(x.transpose(1, 2).reshape(batch, tokens, self.attn_dim))


class Biased(nn.Module):
    """As Swin and LeViT: a bias for each head, values wider than queries, a layer for each."""

    def __init__(self, dim: int = 24, heads: int = 6) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k = nn.Linear(dim, 4 * heads, bias=False), nn.Linear(dim, 4 * heads)
        self.v, self.out = nn.Linear(dim, 8 * heads), nn.Linear(8 * heads, dim)
        self.bias = nn.Parameter(torch.zeros(heads, 16, 16))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        attended = torch.softmax(q @ k.transpose(-2, -1) * 0.5 + self.bias, -1) @ v
        return self.out(attended.transpose(1, 2).flatten(2))


class OverMaps(nn.Module):
    """As Visformer and MobileNets: convolutions make what meets, head after head."""

    def __init__(self, dim: int = 24, heads: int = 4) -> None:
        super().__init__()
        self.num_heads = heads
        self.qkv, self.proj = nn.Conv2d(dim, 3 * dim, 1), nn.Conv2d(dim, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        qkv = self.qkv(x).reshape(batch, self.num_heads, -1, height * width)
        q, k, v = qkv.chunk(3, 2)
        x = v @ torch.softmax(q.transpose(-2, -1) @ k, -1).transpose(-2, -1)
        return self.proj(x.reshape(batch, -1, height, width))


class OfItsInput(nn.Module):
    """What most tutorials write: a head is as wide as the input divided by their number."""

    def __init__(self, dim: int = 24, heads: int = 4) -> None:
        super().__init__()
        self.num_heads = heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, dim = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.num_heads, dim // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        x = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(batch, tokens, dim))


class Talking(nn.Module):
    """As CaiT: every head hears all others, so that none may go."""

    def __init__(self, dim: int = 24, heads: int = 4) -> None:
        super().__init__()
        self.num_heads, self.head_dim = heads, dim // heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.talk = nn.Parameter(torch.rand(heads, heads))

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, self.head_dim))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(torch.einsum("bhnd,bhmd,hg->bgnm", q, k, self.talk), -1)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))


class Attending(nn.Module):
    """A network of patches, one such module and a hidden layer."""

    part: Callable[[], nn.Module] = Attention
    is_of_maps = False

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, 24, 4, stride=4), nn.LayerNorm(24)
        self.attn = self.part()
        self.up, self.down, self.head = nn.Linear(24, 32), nn.Linear(32, 24), nn.Linear(24, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patches(images)
        if self.is_of_maps:
            x = x + self.attn(x)
        x = x.flatten(2).transpose(1, 2)
        if not self.is_of_maps:
            x = x + self.attend(self.norm(x))
        x = x + self.down(functional.gelu(self.up(self.norm(x))))
        return self.head(x.mean(1))

    def attend(self, x: Tensor) -> Tensor:
        return self.attn(x)


class WithTorch(Attending):
    """As torchvision's, with what is put in the place of torch's attention."""

    part = staticmethod(lambda: PlainAttention(nn.MultiheadAttention(24, 4, batch_first=True)))

    def attend(self, x: Tensor) -> Tensor:
        return self.attn(x, x, x)[0]


class Wrapped(nn.Module):
    """Counts the heads of what it calls."""

    def __init__(self) -> None:
        super().__init__()
        self.num_heads, self.inner = 4, Attention()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class WithWrapper(Attending):
    part = Wrapped


class WithBias(Attending):
    part = Biased


class WithMaps(Attending):
    part = OverMaps
    is_of_maps = True


class WithInput(Attending):
    part = OfItsInput


class WithTalk(Attending):
    part = Talking


KINDS = [Attending, WithBias, WithMaps, WithTorch, WithWrapper]
"""Which can lose heads."""
WHOLE = [WithInput, WithTalk]
