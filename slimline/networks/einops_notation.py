"""What lets a tracer through `einops`, which asks what it is given for a kind that it knows.

With sizes in the place of numbers it takes symbols for them, as it does of other libraries, so that
`rearrange(x, "b n (h d) -> b h n d", h=4)` is the `reshape` and `permute` that it stands for.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from typing import TYPE_CHECKING, Any
from unittest import mock

from torch import fx

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def followable() -> Iterator[None]:
    """Let its functions and layers take nodes of a graph, where a network has imported it."""
    with contextlib.ExitStack() as patches:
        if "einops" in sys.modules:
            _backend_of_nodes()
        layers: Any = sys.modules.get("einops.layers.torch")
        if layers is not None:
            patches.enter_context(mock.patch.object(layers.Rearrange, "forward", _rearrange))
            patches.enter_context(mock.patch.object(layers.Reduce, "forward", _reduce))
        yield


def _rearrange(layer: Any, maps: Any) -> Any:
    return sys.modules["einops"].rearrange(maps, layer.pattern, **layer.axes_lengths)


def _reduce(layer: Any, maps: Any) -> Any:
    einops = sys.modules["einops"]
    return einops.reduce(maps, layer.pattern, layer.reduction, **layer.axes_lengths)


@functools.cache
def _backend_of_nodes() -> type:
    """Return a backend for nodes, kept: einops looks for one among the subclasses of its own."""
    backends: Any = sys.modules["einops._backends"]

    class Nodes(backends.TorchBackend):  # type: ignore[misc]
        """Operators of torch, on nodes of a graph."""

        framework_name = "torch.fx"

        def is_appropriate_type(self, tensor: object) -> bool:
            return isinstance(tensor, fx.Proxy)

        def shape(self, x: fx.Proxy) -> list[fx.Proxy]:
            """Return sizes as a list, which is not kept for later as a tuple of numbers is."""
            sizes: Any = x.shape
            return [sizes[place] for place in range(len(sizes))]

    return Nodes
