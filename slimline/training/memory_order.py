"""In which order of bytes a network is run: channels last, where it can be."""

import torch
from torch import Tensor, fx, nn

from slimline.training import determinism

_REFUSED = "view size is not compatible"
"""What torch says of `x.view(x.size(0), -1)` of maps whose channels are last."""


@torch.no_grad()
def of(network: nn.Module, images: Tensor) -> torch.memory_format:
    """Return the order for a network in evaluation mode; `images` are two or more that it takes.

    A graph of operators is none of a user's: it reshapes, and never views.
    """
    if isinstance(network, fx.GraphModule):
        return determinism.MEMORY_FORMAT
    network.to(memory_format=determinism.MEMORY_FORMAT)
    try:
        network(images.to(memory_format=determinism.MEMORY_FORMAT))
    except RuntimeError as error:
        if _REFUSED not in str(error):
            raise
        return torch.contiguous_format
    return determinism.MEMORY_FORMAT
