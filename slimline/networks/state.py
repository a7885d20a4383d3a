"""Loading tensors into a network."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def untie(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Let each layer have a weight of its own, in place, where a file has others for tied ones.

    Pruning cuts each of them by itself, and what trains them then makes them others.
    """
    first: dict[int, str] = {}
    for name, tensor in network.state_dict(keep_vars=True).items():
        original = first.setdefault(id(tensor), name)
        one, other = tensors.get(original), tensors.get(name)
        if one is None or other is None or _are_equal(one, other):
            continue
        path, _, own = name.rpartition(".")
        copied = tensor.detach().clone()
        if isinstance(tensor, nn.Parameter):
            copied = nn.Parameter(copied, requires_grad=tensor.requires_grad)
        setattr(network.get_submodule(path), own, copied)


def _are_equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.equal(one, other)


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
