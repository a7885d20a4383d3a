"""Attention of a converted network, spelled as targets' converters take it; values are kept.

spelled out   two products of matrices and a softmax. ExecuTorch's own form of attention also
minds rows of which all is masked, by eight operators that XNNPACK does not take
repeated      keys and values that several heads share, of attention that cannot be spelled out:
LiteRT's converter makes wrong products of those that are one for all heads
"""

from typing import Any

import torch
from torch import fx

from slimline.targets.quantized_graph import args, constant, put, sizes, tensor

_aten = torch.ops.aten

_KNOWN = {"attn_mask", "scale", "enable_gqa"}
"""Keyword arguments that are minded when attention is spelled out."""
_FAR = -1e9
"""What is added where a mask leaves out: softmax makes 0 of it, as of infinity, which LiteRT's
converter takes for a range."""


def can_be_spelled_out(node: fx.Node) -> bool:
    """Is it attention of maps of heads, whose mask is of floats, or constant, if it has one?

    A key and value belongs to one head, or to as many heads in a row as each other one.
    """
    if not _is_attention(node) or len(args(node)) > 4 or not set(node.kwargs) <= _KNOWN:
        return False
    mask = _mask(node)
    query, key, value = (sizes(each) for each in args(node)[:3])
    is_known = mask is None or not _is_boolean(mask) or mask.op == "get_attr"
    are_heads = len(query) == len(key) == 4 and key[:2] == value[:2] and query[1] % key[1] == 0
    return is_known and are_heads and query[0] == key[0]


def spell_out(attention: fx.Node, network: fx.GraphModule) -> None:
    """Multiply, softmax, multiply: a matrix an image, or window, and head.

    Rows of queries that share their keys and values are those of one matrix.
    """
    call = attention.graph.call_function
    query, key, value = args(attention)[:3]
    scale: Any = attention.kwargs.get("scale") or query.meta["val"].shape[-1] ** -0.5
    in_one = sizes(query)[1] // sizes(key)[1] * sizes(query)[2]
    with attention.graph.inserting_before(attention):
        factor = constant(network, torch.tensor([scale]), f"{attention.name}_scale")
        query = call(_aten.reshape.default, (query, [-1, in_one, sizes(query)[3]]))
        key, value = (
            call(_aten.reshape.default, (each, [-1, *sizes(each)[2:]])) for each in (key, value)
        )
        query = call(_aten.mul.Tensor, (query, factor))
        shares = call(_aten.bmm.default, (query, call(_aten.transpose.int, (key, 1, 2))))
        shares = call(_aten.softmax.int, (_masked(shares, attention, network), -1))
        mixed = call(_aten.bmm.default, (shares, value))
        found = call(_aten.reshape.default, (mixed, sizes(attention)))
        found = _without_blind(found, attention, network)
    put(found, attention)


def _masked(shares: fx.Node, attention: fx.Node, network: fx.GraphModule) -> fx.Node:
    """Add the mask to products of queries and keys, [-1, rows, keys]; what is left out is far."""
    mask, call = _mask(attention), attention.graph.call_function
    if mask is None:
        return shares
    if _is_boolean(mask):
        distances = torch.where(tensor(network, mask), 0.0, _FAR)
        mask = constant(network, distances, f"{attention.name}_mask")
    query, key = (sizes(each) for each in args(attention)[:2])
    shares = call(_aten.reshape.default, (shares, [-1, *query[1:3], key[2]]))
    shares = call(_aten.add.Tensor, (shares, mask))
    in_one = query[1] // key[1] * query[2]
    return call(_aten.reshape.default, (shares, [-1, in_one, key[2]]))


def _without_blind(found: fx.Node, attention: fx.Node, network: fx.GraphModule) -> fx.Node:
    """Let rows to which no key is left be 0, as torch has it."""
    mask = _mask(attention)
    if mask is None or not _is_boolean(mask):
        return found
    sees = tensor(network, mask).any(-1, keepdim=True)
    if sees.all():
        return found
    kept = constant(network, sees.float(), f"{attention.name}_kept")
    return attention.graph.call_function(_aten.mul.Tensor, (found, kept))


def shares_keys(node: fx.Node) -> bool:
    """Is it attention in which all heads have the same keys and values?"""
    return _is_attention(node) and bool(_shared(node))


def repeat_keys(attention: fx.Node, _network: fx.GraphModule) -> None:
    """Give each head keys and values of its own."""
    for place in (1, 2):
        repeated = args(attention)[place]
        with attention.graph.inserting_before(attention):
            for dim, count in _shared(attention).items():
                repeated = attention.graph.call_function(
                    _aten.cat.default, ([repeated] * count, dim)
                )
        repeated.meta = dict(args(attention)[place].meta)
        attention.update_arg(place, repeated)


def _is_attention(node: fx.Node) -> bool:
    return node.target is _aten.scaled_dot_product_attention.default


def _mask(attention: fx.Node) -> Any:
    """Return the node of what is added to products, or of what is left of them; None: nothing."""
    (mask,) = args(attention)[3:4] or [attention.kwargs.get("attn_mask")]
    return mask


def _is_boolean(mask: fx.Node) -> bool:
    return not mask.meta["val"].is_floating_point()


def _shared(attention: fx.Node) -> dict[int, int]:
    """Return how many share keys and values, by the dimension in which these have one."""
    query, key, value = (sizes(each)[:-2] for each in args(attention)[:3])
    return {
        dim: count
        for dim, (count, *shared) in enumerate(zip(query, key, value, strict=True))
        if count > 1 and shared == [1, 1]
    }
