"""What `activation` of params.yaml exchanges in a network, and what it must leave."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from slimline.networks.architecture import Activation, Architecture

_CALLED = (
    "relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "elu", "elu_", "celu", "selu", "gelu",
    "silu", "hardswish", "mish", "softplus", "prelu", "rrelu", "hardtanh", "tanh", "softsign",
    "threshold", "hardshrink", "softshrink", "tanhshrink", "logsigmoid", "log_sigmoid"
)  # fmt: skip
"""Functions of torch.nn.functional that are activations; gates (sigmoid, softmax) are none."""

_NAMES = {
    "ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "CELU", "SELU", "GELU", "SiLU",
    "Hardswish", "Mish", "Softplus", "Hardtanh", "Tanh", "Softsign", "Threshold", "Hardshrink",
    "Softshrink", "Tanhshrink", "LogSigmoid", "StarReLU", "SquaredReLU",
    "Swish", "HardSwish", "HardMish", "GELUTanh", "QuickGELU", "SwishMe", "MishMe",
    "HardSwishMe", "HardMishMe"
}  # fmt: skip
"""Classes of torch.nn and timm; a user's own that is called alike is meant as well."""

_MAKES = {"relu": {"relu"}, "relu6": {"relu6", "hardtanh"}}
"""Functions that the wanted modules call."""

_MADE = {"relu": nn.ReLU, "relu6": nn.ReLU6}


def exchange(network: nn.Module, wanted: Activation) -> dict[str, int]:
    """Exchange every activation in place; return how many there were, by the name of their class.

    The gates of squeeze-excitation are none and stay. One module may stand in many places. What was
    not changed in place may be read again, or be a part of something, and is not changed in place.
    ReLU needs its output for the gradient, so that no dropout may change it in place.
    """
    found: Counter[str] = Counter()
    for path, module in list(network.named_modules(remove_duplicate=False)):
        if network.get_submodule(path) is not module:
            continue  # A block that stands in several places has it exchanged already.
        if type(module).__name__ in _NAMES:
            found[type(module).__name__] += 1
            is_in_place = bool(getattr(module, "inplace", False))
            network.set_submodule(path, _MADE[wanted](inplace=is_in_place))
        elif isinstance(module, nn.Dropout):
            module.inplace = False
    return dict(found)


def account(architecture: Architecture, example: torch.Tensor) -> dict[str, Any]:
    """Return what `model.json` says: classes that were exchanged, with counts, and what was left.

    Raises:
        NetworkError: the network cannot be built.
    """
    from slimline.networks import backbones  # it builds networks with this

    network = backbones.find(architecture.backbone).outline(architecture.num_classes)
    exchanged = exchange(network, architecture.activation)
    with torch.random.fork_rng(devices=[]):
        again = backbones.find(architecture.backbone).make(architecture).eval()
    return {"exchanged": exchanged, "left": called(again, example, architecture.activation)}


def called(network: nn.Module, example: torch.Tensor, wanted: Activation) -> list[str]:
    """Return the activations that a network's `forward` calls as functions, beside the wanted one.

    No module stands for them that could be exchanged. `example` is float32 [batch, channels,
    height, width].
    """
    seen: dict[str, None] = {}

    class Watch(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            name = getattr(func, "__name__", "")
            if name in _CALLED and name.rstrip("_") not in _MAKES[wanted]:
                seen[name.rstrip("_")] = None
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), Watch():
        network(example)
    return list(seen)
