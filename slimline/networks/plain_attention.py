"""torch's MultiheadAttention as two linear layers, of which heads can be removed.

torch's own keeps the three matrices of its input as a weight without a layer, and as many heads as
fill the width of the network.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class PlainAttention(nn.Module):
    """Answers as the module that it is made of, whose weights it has; batch first."""

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.num_heads, self.head_dim = attention.num_heads, attention.head_dim
        self.attn_dim = self.num_heads * self.head_dim
        self.dropout, self.batch_first = attention.dropout, True
        self.in_proj = _linear(attention.in_proj_weight, attention.in_proj_bias)
        self.out_proj = _linear(attention.out_proj.weight, attention.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return what the heads find, and how each weighs the tokens, if asked for.

        With a mask, or keys of something else, it is torch's function, for all heads alone.
        """
        is_masked = key_padding_mask is not None or attn_mask is not None or is_causal
        if is_masked or key is not query or value is not query:
            found, weights = functional.multi_head_attention_forward(
                query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1),
                self.attn_dim, self.num_heads, self.in_proj.weight, self.in_proj.bias,
                None, None, False, self.dropout, self.out_proj.weight, self.out_proj.bias,
                training=self.training, key_padding_mask=key_padding_mask,
                need_weights=need_weights, attn_mask=attn_mask,
                average_attn_weights=average_attn_weights, is_causal=is_causal,
            )  # fmt: skip
            return found.transpose(0, 1), weights
        batch, tokens, _ = query.shape
        packed = self.in_proj(query).reshape(batch, tokens, 3, self.num_heads, self.head_dim)
        q, k, v = packed.permute(2, 0, 3, 1, 4).unbind(0)
        weights = None
        if need_weights:
            scores = q @ k.transpose(-2, -1) * self.head_dim**-0.5
            weights = functional.dropout(torch.softmax(scores, -1), self.dropout, self.training)
            found = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            dropout = self.dropout if self.training else 0.0
            found = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        return self.out_proj(found.transpose(1, 2).reshape(batch, tokens, self.attn_dim)), weights


def write(network: nn.Module) -> list[str]:
    """Put such layers in the place of torch's modules, where they can be; return their names."""
    inside = {
        f"{name}."
        for name, each in network.named_modules()
        if isinstance(each, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer)
    }  # which read the weights of their attention themselves
    found = [
        name
        for name, each in network.named_modules()
        if name and _is_plain(each) and not name.startswith(tuple(inside))
    ]
    for name in found:
        attention: Any = network.get_submodule(name)
        network.set_submodule(name, PlainAttention(attention).train(attention.training))
    return found


def _is_plain(module: nn.Module) -> bool:
    return (
        type(module) is nn.MultiheadAttention
        and module.batch_first
        and module._qkv_same_embed_dim
        and module.bias_k is None
        and not module.add_zero_attn
    )


def _linear(weight: Any, bias: Any) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = weight
    if bias is not None:
        layer.bias = bias
    return layer
