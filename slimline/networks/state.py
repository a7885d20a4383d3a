"""Loading tensors into a network."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def load(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load tensors, strictly, as of this version of the network's modules.

    A file has names and tensors alone; some modules (MNASNet's) ask for the version that a
    `state_dict` carries beside them.

    Raises:
        RuntimeError: there are others than the network has, or of other shapes.
    """
    content: Any = OrderedDict(tensors)
    versions: Any = network.state_dict()
    content._metadata = versions._metadata
    network.load_state_dict(content, strict=True)
