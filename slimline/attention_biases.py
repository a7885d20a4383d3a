"""Biases of attention that a module keeps from call to call, as timm's LeViT does.

A graph that is taken of such a network would hold what was computed once, or the module would keep
what was computed of nothing, and answer with it later.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

_CACHE = "attention_bias_cache"
"""Where timm keeps them, unless the module is trained."""


@contextlib.contextmanager
def computed_anew(network: nn.Module) -> Iterator[None]:
    """Let modules compute their biases in every call, and keep none, nor what they have."""
    keeping = [
        module for module in network.modules() if hasattr(module, _CACHE) and not module.training
    ]
    for module in keeping:
        getattr(module, _CACHE).clear()
        module.training = True
    try:
        yield
    finally:
        for module in keeping:
            module.training = False
