"""Loading tensors into a network."""

from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn


def untie(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Let what a network shares be apart, in place, where a file has other values for its names.

    Pruning cuts each layer by itself, and what trains them then makes them others.
    """
    names = defaultdict(list)
    for name, tensor in network.state_dict(keep_vars=True).items():
        names[tensor].append(name)
    for tensor, own in names.items():
        apart: list[tuple[Tensor, Tensor]] = []
        for name in [each for each in own if each in tensors]:
            alike = (mine for found, mine in apart if are_equal(found, tensors[name]))
            mine = next(alike, _copied(tensor) if apart else tensor)
            apart.append((tensors[name], mine))
            path, _, attribute = name.rpartition(".")
            setattr(network.get_submodule(path), attribute, mine)


def _copied(tensor: Tensor) -> Tensor:
    copied = tensor.detach().clone()
    is_weight = isinstance(tensor, nn.Parameter)
    return nn.Parameter(copied, requires_grad=tensor.requires_grad) if is_weight else copied


def are_equal(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors have the same values in the same places; NaN is one."""
    if one.shape != other.shape:
        return False
    return bool(((one == other) | ((one != one) & (other != other))).all())


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
