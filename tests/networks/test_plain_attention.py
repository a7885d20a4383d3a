from typing import Any

import pytest
import torch
from torch import Tensor, nn

from slimline.networks import plain_attention
from slimline.networks.plain_attention import PlainAttention

TOKENS = torch.randn(2, 7, 24, generator=torch.Generator().manual_seed(0))
OTHERS = TOKENS.flip(1)


def attention(**changes: Any) -> nn.MultiheadAttention:
    torch.manual_seed(0)
    made = nn.MultiheadAttention(24, 4, **{"batch_first": True} | changes).eval()
    for weight in made.parameters():
        nn.init.normal_(weight, std=0.3)
    return made


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ((TOKENS, TOKENS, TOKENS), {}),
        ((TOKENS, TOKENS, TOKENS), {"need_weights": False}),
        ((TOKENS, TOKENS, TOKENS), {"average_attn_weights": False}),
        ((TOKENS, OTHERS, OTHERS), {}),
        ((TOKENS, OTHERS, OTHERS), {"need_weights": False}),
        ((TOKENS, TOKENS, TOKENS), {"attn_mask": torch.ones(7, 7).triu(1) > 0}),
        ((TOKENS, TOKENS, TOKENS), {"key_padding_mask": torch.arange(14).view(2, 7) > 10}),
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_it_answers_as_torch_does(
    given: tuple[Tensor, ...], named: dict[str, Any], bias: bool
) -> None:
    theirs = attention(bias=bias)
    network = nn.ModuleDict({"attn": theirs})
    assert plain_attention.write(network) == ["attn"]
    assert isinstance(network["attn"], PlainAttention)
    assert network["attn"].in_proj.weight is theirs.in_proj_weight
    (found, weights), (wanted, their_weights) = (
        network["attn"](*given, **named),
        theirs(*given, **named),
    )
    assert torch.allclose(found, wanted, atol=1e-6)
    assert (weights is None) == (their_weights is None)
    assert weights is None or torch.allclose(weights, their_weights, atol=1e-6)


def test_what_is_made_otherwise_or_read_by_torch_itself_stays() -> None:
    others = [{"batch_first": False}, {"kdim": 12}, {"add_bias_kv": True}, {"add_zero_attn": True}]
    network = nn.ModuleDict({str(place): attention(**each) for place, each in enumerate(others)})
    network["layer"] = nn.TransformerEncoderLayer(24, 4, batch_first=True)
    assert plain_attention.write(network) == []
