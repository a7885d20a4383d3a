"""Any network by its name: an entry of the registry, or one that is looked into.

`torchvision:regnet_x_400mf`, `timm:repvgg_a0`, or `own.gate:build`, a function of the user's own in
`own/gate.py`, called with the numbers of classes and of channels.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slimline.errors import NetworkError
from slimline.networks import users_code
from slimline.networks.architecture import Backbone, PretrainedWeights
from slimline.networks.registry import REGISTRY

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    _Source = tuple[Callable[..., nn.Module], PretrainedWeights | None]

_SIZES = (
    96, 224, 240, 256, 64, 48, 32, 28, 128, 112, 150, 160, 180, 192, 200, 227, 299, 300, 320, 384,
    448, 512
)  # fmt: skip
"""Image sizes that are tried in order; most networks take the first. Pixels."""

_NUM_CLASSES = 7
"""Of the network that is looked into."""


@functools.cache
def find(name: str) -> Backbone:
    """Return what a name of `backbone` stands for; the name has been checked.

    Raises:
        NetworkError: the network cannot be built, or where it begins and ends cannot be found.
    """
    if name in REGISTRY:
        return REGISTRY[name]
    library, _, entry = name.partition(":")
    publish, imagenet = _SOURCES.get(library, _own)(name, entry)
    return _looked_into(name, publish, imagenet, takes_channels=library not in _SOURCES)


def _looked_into(
    name: str,
    publish: Callable[..., nn.Module],
    imagenet: PretrainedWeights | None,
    *,
    takes_channels: bool,
) -> Backbone:
    """Return an entry whose parts are found by running the network once."""
    from torch.nn.parameter import is_lazy

    from slimline.networks import discovery

    unknown = Backbone(publish, "", "", (), imagenet, is_found=True, takes_channels=takes_channels)
    network = unknown.outline(_NUM_CLASSES)
    if any(is_lazy(each) for each in network.parameters()):
        raise NetworkError(f"{name}: has lazy layers, as nn.LazyLinear; write their input sizes")
    size, order = _first_run(name, network)
    try:
        # What timm says of its networks is what is found, but that it names all of parallel stems
        # and of several heads.
        said = discovery.said_by(network, _NUM_CLASSES) if takes_channels else discovery.Said()
        reading = discovery.readers(network, channels=3, size=size)
        parts = discovery.find(network, order, said, reading)
    except NetworkError as error:
        where = _file(name) if takes_channels else name
        raise NetworkError(f"{where}: {error}") from None
    if takes_channels and not discovery.decides(network, parts.head, channels=3, size=size):
        raise NetworkError(
            f"{_file(name)}: the answer does not depend on {parts.head}, taken for its head; the "
            "network can say which layer it is: an attribute pretrained_cfg = "
            '{"classifier": "name.of.the.layer"} (docs/networks.md)'
        )
    return replace(
        unknown,
        stem=parts.stem,
        beside=parts.beside,
        head=f"{parts.head}.",
        stages=parts.stages,
        trunk=parts.trunk,
        image_size=size,
        classifying=discovery.classifying(network, parts.head, _NUM_CLASSES, size=size),
    )


def _first_run(name: str, network: nn.Module) -> tuple[int, list[str]]:
    """Return the first size of images that a network takes, pixels, and the modules that it calls.

    Raises:
        NetworkError: it takes none.
    """
    from slimline.networks import discovery

    own = _own_sizes(network)
    reasons = []
    for size in dict.fromkeys([*_SIZES, *own]):
        try:
            return size, discovery.run(network, channels=3, size=size)
        except NetworkError as error:
            reasons.append(str(error))
    # What is said of the size that it asks for tells more than that it takes no other.
    reason = reasons[-1 if own else 0]
    if not own:
        reason += "; where it takes one size alone, say it in an attribute `image_size` of it"
    raise NetworkError(f"{name}: {reason}")


def _own_sizes(network: nn.Module) -> list[int]:
    """Return what a network says of its images' size, pixels: timm's and torchvision's ways."""
    said = getattr(network, "pretrained_cfg", None)
    shape = said.get("input_size") if isinstance(said, Mapping) else None
    sizes = [getattr(network, "image_size", None)]
    sizes += shape[-1:] if isinstance(shape, list | tuple) else []
    return [each for each in sizes if isinstance(each, int)]


def _torchvision(name: str, entry: str) -> _Source:
    from slimline.networks import published

    found = published.of_torchvision(entry, stem="", head="", stages=())
    return _told(name, found.publish), published.torchvision_weights(entry)


def _timm(name: str, entry: str) -> _Source:
    from slimline.networks import published

    found = published.of_timm(entry, num_blocks=0)
    return _told(name, found.publish), published.timm_weights(entry)


_SOURCES = {"torchvision": _torchvision, "timm": _timm}


def _own(name: str, entry: str) -> _Source:
    path = _file(name)
    try:
        build: Any = getattr(importlib.import_module(name.partition(":")[0]), entry)
    except Exception as error:
        reason = users_code.told(error)
        raise NetworkError(f"{path}: {entry} cannot be had: {reason}") from error
    allowed = list(inspect.signature(build).parameters)
    if allowed[:2] != ["num_classes", "in_channels"]:
        raise NetworkError(
            f"{path}: {entry} must take num_classes and in_channels (it takes {allowed})"
        )
    return _told(name, lambda classes, channels=3: build(classes, channels)), None


def _file(name: str) -> str:
    """Return where a network of the user's own is written."""
    return f"{name.partition(':')[0].replace('.', '/')}.py"


def _told(name: str, publish: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """Return a builder whose mistakes name the network."""

    def build(*sizes: int) -> nn.Module:
        from torch import jit, nn

        try:
            network = publish(*sizes)
        except Exception as error:
            raise NetworkError(f"{name}: cannot be built: {users_code.told(error)}") from error
        if not isinstance(network, nn.Module):
            raise NetworkError(f"{name}: builds a {type(network).__name__}, no nn.Module")
        if any(isinstance(each, jit.ScriptModule) for each in network.modules()):
            raise NetworkError(
                f"{name}: has parts that torch.jit made, which cannot be looked into; let it "
                "return the module that was scripted or traced"
            )
        return network

    return build
