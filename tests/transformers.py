"""Transformers as people write them, with torch's own modules and theirs, that are hard to cut."""

import torch
from attending import Attention
from torch import Tensor, nn
from torch.nn import functional


def layer(**changes: object) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(24, 4, 32, **{"batch_first": True} | changes)


def attention() -> nn.MultiheadAttention:
    return nn.MultiheadAttention(24, 4, batch_first=True)


class Tokens(nn.Module):
    """Patches, what is done with them, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 24, 4, stride=4)
        self.build()
        self.head = nn.Linear(24, 5)

    def build(self) -> None:
        """Make the modules in between."""

    def run(self, x: Tensor) -> Tensor:
        """Return tokens; [batch, 16, 24]."""
        return x

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.run(self.patches(images).flatten(2).transpose(1, 2)).mean(1))


class OwnLayer(nn.TransformerEncoderLayer):
    """Calls what torch's class has, which asks its attention for torch's weights."""

    def _ff_block(self, x: Tensor) -> Tensor:
        return 0.5 * super()._ff_block(x)


class Subclass(Tokens):
    def build(self) -> None:
        self.encoder = nn.TransformerEncoder(OwnLayer(24, 4, 32, batch_first=True), 2)

    def run(self, x: Tensor) -> Tensor:
        return self.encoder(x)


class Attributes(Tokens):
    """Reads numbers that torch's modules have."""

    def build(self) -> None:
        self.encoder, self.attn = nn.TransformerEncoder(layer(), 2), attention()

    def run(self, x: Tensor) -> Tensor:
        for each in range(self.encoder.num_layers):
            x = self.encoder.layers[each](x)
        return x + self.attn(x, x, x)[0] * self.attn.embed_dim**-0.5


class Weighed(Tokens):
    """Reads what attention weighs the tokens by, which is a mean over all heads."""

    def build(self) -> None:
        self.attn, self.norm = attention(), nn.LayerNorm(24)

    def run(self, x: Tensor) -> Tensor:
        given = 3 * self.norm(x)
        found, weights = self.attn(given, given, given)
        return (x + found) * (16 * weights.mean(1)).unsqueeze(-1)


class Unread(Tokens):
    """Takes the weights and leaves them."""

    def build(self) -> None:
        self.attn = attention()

    def run(self, x: Tensor) -> Tensor:
        found, _ = self.attn(x, x, x)
        return x + found


class Three(Attention):
    def forward(  # type: ignore[override]
        self, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        found = super().forward(x)
        return found, found, found


class OfThree(Tokens):
    def build(self) -> None:
        self.attn = Three()

    def run(self, x: Tensor) -> Tensor:
        found, _, _ = self.attn(x)
        return x + found


class Crossed(Tokens):
    """The same attention to its own input, then to another."""

    def build(self) -> None:
        self.attn, self.other = attention(), nn.Linear(24, 24)

    def run(self, x: Tensor) -> Tensor:
        x = x + self.attn(x, x, x)[0]
        other = self.other(x)
        return x + self.attn(x, other, other)[0]


class Masked(Tokens):
    """The same layer without a mask, then with one."""

    def build(self) -> None:
        self.layer = layer()
        self.register_buffer("mask", torch.ones(16, 16).triu(1) > 0)

    def run(self, x: Tensor) -> Tensor:
        return self.layer(self.layer(x), src_mask=self.mask)


class ByName(Tokens):
    """A second call by keywords alone."""

    def build(self) -> None:
        self.attn = Attention()

    def run(self, x: Tensor) -> Tensor:
        x = x + self.attn(x)
        return x + self.attn(x=x)


class Sloped(Attention):
    """A slope for each head, which no file keeps."""

    def __init__(self) -> None:
        super().__init__()
        slopes = 2.0 ** -torch.arange(1.0, 5).view(4, 1, 1)
        self.register_buffer("slopes", slopes, persistent=False)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        places = torch.arange(16)
        return super().forward(x, -self.slopes * (places[None] - places[:, None]).abs())


class WithSlopes(Tokens):
    def build(self) -> None:
        self.attn = Sloped()

    def run(self, x: Tensor) -> Tensor:
        return x + self.attn(x)


class SharedLayers(Tokens):
    """One layer in three places, as in ALBERT."""

    def build(self) -> None:
        self.layers = nn.ModuleList([layer()] * 3)

    def run(self, x: Tensor) -> Tensor:
        for each in self.layers:
            x = each(x)
        return x


class SharedWeights(Tokens):
    """Two modules that have a layer in common, and two that have a table."""

    def build(self) -> None:
        self.a, self.b, self.c, self.d = (Attention() for _ in range(4))
        self.b.qkv = self.a.qkv
        self.table = self.c.table = self.d.table = nn.Parameter(torch.randn(4, 16, 16))

    def run(self, x: Tensor) -> Tensor:
        x = x + self.a(x)
        x = x + self.b(x)
        x = x + self.c(x, self.c.table)
        return x + self.d(x, self.d.table)


class Flattened(nn.Module):
    """Attention over maps whose answer is flattened within."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = 4
        self.qkv, self.proj = nn.Conv2d(24, 72, 1), nn.Conv2d(24, 24, 1)

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, self.heads, -1, height * width).chunk(3, 2)
        x = v @ torch.softmax(q.transpose(-2, -1) @ k, -1).transpose(-2, -1)
        return self.proj(x.reshape(batch, -1, height, width)).flatten(2)


class OfFlattened(Tokens):
    def build(self) -> None:
        self.attn, self.wide = Flattened(), nn.Linear(24 * 16, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.wide(self.attn(self.patches(images)).transpose(1, 2).flatten(1))


class Ordered(Attention):
    """A flag decides in which order the features of a head stand."""

    def __init__(self, heads_first: bool) -> None:
        super().__init__()
        self.heads_first = heads_first

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        batch, tokens, _ = x.shape
        packed = self.qkv(x)
        if self.heads_first:
            packed = packed.reshape(batch, tokens, self.num_heads, 3, self.head_dim)
            q, k, v = packed.permute(3, 0, 2, 1, 4).unbind(0)
        else:
            packed = packed.reshape(batch, tokens, 3, self.num_heads, self.head_dim)
            q, k, v = packed.permute(2, 0, 3, 1, 4).unbind(0)
        x = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(batch, tokens, self.attn_dim))


class InTwoOrders(Tokens):
    def build(self) -> None:
        self.a, self.b = Ordered(False), Ordered(True)

    def run(self, x: Tensor) -> Tensor:
        x = x + self.a(x)
        return x + self.b(x)


class Unbatched(Tokens):
    """Attention of single vectors, without a batch of sequences."""

    def build(self) -> None:
        self.attn = attention()

    def run(self, x: Tensor) -> Tensor:
        mean = x.mean(1)
        return x + (mean + self.attn(mean, mean, mean)[0])[:, None]


class ByKeywords(Tokens):
    def build(self) -> None:
        self.attn = nn.MultiheadAttention(24, 4, add_zero_attn=True, batch_first=True)

    def run(self, x: Tensor) -> Tensor:
        return x + self.attn(query=x, key=x, value=x)[0]


NARROWED = {
    Attributes: {"encoder.layers.0.self_attn.in_proj", "attn.in_proj"},
    Unread: {"attn.in_proj"},
    OfThree: {"attn.qkv"},
    SharedLayers: {"layers.0.self_attn.in_proj", "layers.0.linear1"},
    InTwoOrders: {"a.qkv", "b.qkv"},
}
"""Networks that lose heads, and some of their layers that are narrowed."""
WHOLE = {
    Subclass: "encoder.layers.0.linear1",
    Weighed: "attn.in_proj",
    Crossed: "attn.in_proj",
    Masked: "layer.self_attn.in_proj",
    ByName: "attn.qkv",
    WithSlopes: "attn.qkv",
    SharedWeights: "a.qkv",
    OfFlattened: "attn.qkv",
    Unbatched: "patches",
    ByKeywords: "patches",
}
"""Networks whose heads must stay, and a layer of each that stays whole."""
