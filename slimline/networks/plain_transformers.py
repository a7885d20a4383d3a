"""torch's own transformer layers written in plain ones, which can be traced and lose heads.

torch keeps the three matrices of attention as a weight without a layer, has as many heads as fill
the width of the network, and hides the layers of its encoder behind kernels of its own.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_Known = dict[nn.Module, nn.Module]
"""What was written for a module."""

_TORCHS = (nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerEncoder)


class _Plain(nn.Module):
    """Has the plain attributes of what it is made of, such as `embed_dim` or `num_layers`."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        for name, value in vars(module).items():
            if not name.startswith("_") and not hasattr(self, name):
                setattr(self, name, value)
        self.training = module.training


class PlainAttention(_Plain):
    """Answers as the module that it is made of, whose weights it has."""

    num_heads: int
    head_dim: int
    dropout: float
    batch_first: bool

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__(attention)
        self.attn_dim = self.num_heads * self.head_dim
        self.in_proj = _linear(attention.in_proj_weight, attention.in_proj_bias)
        self.out_proj = _linear(attention.out_proj.weight, attention.out_proj.bias)

    @property
    def in_proj_weight(self) -> Tensor:
        """What torch calls the weight of queries, keys and values."""
        return self.in_proj.weight

    @property
    def in_proj_bias(self) -> Tensor | None:
        """The same of their bias."""
        return self.in_proj.bias

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

        With a mask, without a batch, or with keys of something else, it is torch's function, which
        takes as many heads as fill the width of the network.
        """
        is_masked = key_padding_mask is not None or attn_mask is not None or is_causal
        if is_masked or key is not query or value is not query or query.dim() < 3:
            is_turned = self.batch_first and query.dim() == 3
            given = [query, key, value]
            query, key, value = (each.transpose(0, 1) if is_turned else each for each in given)
            found, weights = functional.multi_head_attention_forward(
                query, key, value, self.attn_dim, self.num_heads,
                self.in_proj.weight, self.in_proj.bias, None, None, False,
                self.dropout, self.out_proj.weight, self.out_proj.bias,
                training=self.training, key_padding_mask=key_padding_mask,
                need_weights=need_weights, attn_mask=attn_mask,
                average_attn_weights=average_attn_weights, is_causal=is_causal,
            )  # fmt: skip
            return found.transpose(0, 1) if is_turned else found, weights
        packed = self.in_proj(query).unflatten(-1, (3, self.num_heads, self.head_dim))
        order = (2, 0, 3, 1, 4) if self.batch_first else (2, 1, 3, 0, 4)
        q, k, v = packed.permute(*order).unbind(0)
        weights = None
        if need_weights:
            scores = q @ k.transpose(-2, -1) * self.head_dim**-0.5
            weights = functional.dropout(torch.softmax(scores, -1), self.dropout, self.training)
            found = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
        else:
            dropout = self.dropout if self.training else 0.0
            found = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        found = found.transpose(1, 2) if self.batch_first else found.permute(2, 0, 1, 3)
        return self.out_proj(found.flatten(2)), weights


class PlainEncoderLayer(_Plain):
    """The same for a layer of an encoder: attention, and a layer of hidden width."""

    norm_first: bool

    def __init__(self, layer: nn.TransformerEncoderLayer, known: _Known) -> None:
        super().__init__(layer)
        self.self_attn = _plain(layer.self_attn, known)
        self.linear1, self.linear2 = layer.linear1, layer.linear2
        self.norm1, self.norm2 = layer.norm1, layer.norm2
        self.dropout, self.dropout1, self.dropout2 = layer.dropout, layer.dropout1, layer.dropout2
        self.activation = layer.activation

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Return the tokens, each with what it found in the others."""
        masks = {
            "attn_mask": src_mask,
            "key_padding_mask": src_key_padding_mask,
            "is_causal": is_causal,
        }
        if self.norm_first:
            src = src + self._attend(self.norm1(src), masks)
            return src + self._think(self.norm2(src))
        src = self.norm1(src + self._attend(src, masks))
        found: Tensor = self.norm2(src + self._think(src))
        return found

    def _attend(self, tokens: Tensor, masks: dict[str, Any]) -> Tensor:
        found, _ = self.self_attn(tokens, tokens, tokens, need_weights=False, **masks)
        kept: Tensor = self.dropout1(found)
        return kept

    def _think(self, tokens: Tensor) -> Tensor:
        hidden = self.dropout(self.activation(self.linear1(tokens)))
        found: Tensor = self.dropout2(self.linear2(hidden))
        return found


class PlainEncoder(_Plain):
    """The same for an encoder: one layer after another."""

    def __init__(self, encoder: nn.TransformerEncoder, known: _Known) -> None:
        super().__init__(encoder)
        self.layers = nn.ModuleList(_plain(each, known) for each in encoder.layers)
        self.norm = encoder.norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """Return the tokens behind the last layer."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)


def write(network: nn.Module) -> list[str]:
    """Put plain layers in the place of torch's, where they can be; return the names of these.

    What stands in several places is written once. Attention within a layer of torch's that stays
    does too: that one asks for what torch's own attention has.
    """
    known: _Known = {}
    found: list[str] = []
    left: list[str] = []
    for name, module in list(network.named_modules(remove_duplicate=False)):
        is_inside = any(name.startswith(f"{each}.") for each in [*found, *left])
        if not name or is_inside:
            continue
        if _can_be_plain(module):
            network.set_submodule(name, _plain(module, known))
            found.append(name)
        elif isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
            left.append(name)
    return found


def _plain(module: nn.Module, known: _Known) -> nn.Module:
    if module not in known:
        if isinstance(module, nn.TransformerEncoder):
            known[module] = PlainEncoder(module, known)
        elif isinstance(module, nn.TransformerEncoderLayer):
            known[module] = PlainEncoderLayer(module, known)
        else:
            assert isinstance(module, nn.MultiheadAttention)
            known[module] = PlainAttention(module)
    return known[module]


def _can_be_plain(module: nn.Module) -> bool:
    """Is it a module of torch's own class, and all within, with what is written here?"""
    has_hooks = any(each._forward_hooks or each._forward_pre_hooks for each in module.modules())
    if type(module) not in _TORCHS or has_hooks:
        return False
    if isinstance(module, nn.TransformerEncoder):
        return all(_can_be_plain(each) for each in module.layers)
    attention = module.self_attn if isinstance(module, nn.TransformerEncoderLayer) else module
    return (
        type(attention) is nn.MultiheadAttention
        and attention._qkv_same_embed_dim
        and attention.bias_k is None
        and not attention.add_zero_attn
    )


def _linear(weight: Any, bias: Any) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = weight
    if bias is not None:
        layer.bias = bias
    return layer
