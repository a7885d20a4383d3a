"""Networks that say shapes in einops' notation are followed as those that say them to torch."""

import cuts
import einops
import pytest
import torch
from einops.layers.torch import Rearrange, Reduce
from torch import Tensor, fx, nn

from slimline.networks import tracing

EXAMPLE = torch.zeros(2, 3, 16, 16)
IMAGES = torch.randn(5, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(width)
        self.made, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, rows: Tensor) -> Tensor:
        made = self.made(self.norm(rows)).chunk(3, dim=-1)
        query, key, value = (
            einops.rearrange(each, "b n (h d) -> b h n d", h=self.heads) for each in made
        )
        shares = torch.einsum("b h i d, b h j d -> b h i j", query, key).softmax(-1)
        answer: Tensor = self.out(einops.rearrange(shares @ value, "b h n d -> b n (h d)"))
        return answer


class Transformer(nn.Module):
    """As most code of papers is written: patches by a layer, a token that is repeated."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Sequential(
            Rearrange("b c (h p) (w q) -> b (h w) (p q c)", p=4, q=4), nn.Linear(48, 32)
        )
        self.token = nn.Parameter(torch.randn(1, 1, 32))
        self.attention = Attention(32, 4)
        self.inner, self.outer = nn.Linear(32, 64), nn.Linear(64, 32)
        self.head = nn.Linear(32, 5)

    def forward(self, images: Tensor) -> Tensor:
        rows = self.patches(images)
        tokens = einops.repeat(self.token, "1 1 d -> b 1 d", b=rows.shape[0])
        rows = torch.cat([tokens, rows], dim=1)
        rows = rows + self.attention(rows)
        rows = rows + self.outer(self.inner(rows).relu())
        answer: Tensor = self.head(rows[:, 0])
        return answer


class Pooled(nn.Module):
    """Convolutions, with pooling and a gate in the notation."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 24, 3, padding=1)
        self.pool, self.gate = Reduce("b c h w -> b c", "mean"), nn.Linear(32, 32)
        self.halve, self.head = Reduce("b c (h 2) (w 2) -> b c h w", "max"), nn.Linear(24, 5)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.a(images).relu()
        gate = einops.rearrange(self.gate(self.pool(maps)).sigmoid(), "b c -> b c 1 1")
        maps = self.b(self.halve(maps * gate)).relu()
        answer: Tensor = self.head(einops.reduce(maps, "b c h w -> b c", "mean"))
        return answer


KINDS = [Transformer, Pooled]


def made(kind: type[nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return kind().eval()


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_graph_answers_as_its_network(kind: type[nn.Module]) -> None:
    network = made(kind)
    graph = fx.GraphModule(network, tracing.graph_decided_by(EXAMPLE, network))
    assert torch.allclose(graph(EXAMPLE + 1), network(EXAMPLE + 1), atol=1e-6)
    assert torch.allclose(network(IMAGES)[:2], network(IMAGES[:2]), atol=1e-6), "as before"


@pytest.mark.parametrize(
    ("kind", "whole"),
    [
        (Transformer, ["patches.1", "attention.made", "attention.out", "outer"]),
        # Places that are parted, as by "(h 2)", are not followed.
        (Pooled, ["a", "gate"]),
    ],
)
def test_what_stays_computes_what_it_did_before(kind: type[nn.Module], whole: list[str]) -> None:
    network, narrow = made(kind), made(kind)
    plan = cuts.plan(narrow, EXAMPLE, multiple=1)
    assert cuts.names_of_whole(plan) == whole
    for group in plan.groups:
        group.remove(group.full_width / 2)
    stayed = plan.apply()
    cuts.assert_same_with_the_rest_at_zero(network, narrow, stayed, EXAMPLE)
