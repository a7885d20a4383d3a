import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from slimline.networks import plain_transformers
from slimline.networks.plain_transformers import PlainAttention

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
    assert plain_transformers.write(network) == ["attn"]
    assert isinstance(network["attn"], PlainAttention)
    assert network["attn"].in_proj.weight is theirs.in_proj_weight
    (found, weights), (wanted, their_weights) = (
        network["attn"](*given, **named),
        theirs(*given, **named),
    )
    assert torch.allclose(found, wanted, atol=1e-6)
    assert (weights is None) == (their_weights is None)
    assert weights is None or torch.allclose(weights, their_weights, atol=1e-6)


def test_tokens_may_come_first() -> None:
    theirs = attention(batch_first=False)
    found, weights = PlainAttention(theirs)(TOKENS, TOKENS, TOKENS)
    wanted, their_weights = theirs(TOKENS, TOKENS, TOKENS)
    assert torch.allclose(found, wanted, atol=1e-6)
    assert torch.allclose(weights, their_weights, atol=1e-6)


@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize("changes", [{}, {"norm_first": True, "activation": "gelu"}])
@pytest.mark.parametrize("batch_first", [True, False])
def test_an_encoder_answers_as_torch_does(
    changes: dict[str, Any], batch_first: bool, is_causal: bool
) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(24, 4, 32, batch_first=batch_first, **changes)
    theirs = nn.TransformerEncoder(layer, 2, nn.LayerNorm(24), enable_nested_tensor=False).eval()
    network = nn.Sequential(copy.deepcopy(theirs))
    assert plain_transformers.write(network) == ["0"]
    assert not network[0].training
    count = TOKENS.shape[1 if batch_first else 0]
    mask = nn.Transformer.generate_square_subsequent_mask(count) if is_causal else None
    for tokens in (TOKENS, OTHERS):
        found = network[0](tokens, mask, is_causal=is_causal)
        assert torch.allclose(found, theirs(tokens, mask, is_causal=is_causal), atol=1e-5)


def test_what_is_made_otherwise_stays() -> None:
    others = [{"kdim": 12}, {"add_bias_kv": True}, {"add_zero_attn": True}]
    network = nn.ModuleDict({str(place): attention(**each) for place, each in enumerate(others)})
    assert plain_transformers.write(network) == []


def test_layers_of_torch_that_stay_keep_their_attention() -> None:
    network = nn.ModuleDict({"decoder": nn.TransformerDecoderLayer(24, 4, batch_first=True)})
    network["hooked"] = nn.TransformerEncoderLayer(24, 4, 32, batch_first=True)
    network["hooked"].linear1.register_forward_hook(lambda *_: None)
    assert plain_transformers.write(network) == []


def test_it_has_the_attributes_of_torch() -> None:
    layer = nn.TransformerEncoderLayer(24, 4, 32, batch_first=True)
    network = nn.ModuleDict({"encoder": nn.TransformerEncoder(layer, 2)})
    plain_transformers.write(network)
    assert network["encoder"].num_layers == 2
    attention = network["encoder"].layers[0].self_attn
    assert (attention.embed_dim, attention.kdim) == (24, 24)
    assert attention.in_proj_weight.shape == (72, 24)
    assert attention.in_proj_bias is attention.in_proj.bias
