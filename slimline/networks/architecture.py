"""What every family of backbones shares: how an architecture is described, built and split.

A family's file says in a line per network where it comes from; all that is done to it afterwards
(stem, activations, pretrained tensors) is done here, the same for all.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

from slimline.errors import NetworkError

if TYPE_CHECKING:
    from torch import Tensor, nn

Activation = Literal["keep", "relu", "relu6"]
SplitWidths = Mapping[str, Mapping[str, int | list[int]]]
"""Values by attribute, by the module that has it: what its code splits channels by."""

_RGB = 3
"""Channels of the images that a library's networks are published for."""


@dataclass(frozen=True)
class Architecture:
    """All that decides which layers a model has, before pruning; plain values, kept in JSON."""

    backbone: str
    """A name that `slimline.networks.backbones` knows."""
    num_classes: int
    channels: int
    """Of the input: 1 for grey, 3 for RGB."""
    stem_stride: int
    """Stride of the first convolution; 2 was made for 224 px, 1 keeps small images large."""
    stem_kernel: int
    """Kernel of the first convolution, odd."""
    activation: Activation = "keep"
    """What stands where the published network has an activation function; keep: its own."""
    reparameterised: bool = False
    """Whether branches that were made for training are merged, as in RepVGG."""

    split_widths: SplitWidths = field(default_factory=dict)
    """What pruning wrote into modules that keep widths as numbers: of splits, heads, groups."""

    def to_dict(self) -> dict[str, Any]:
        """Return what `model.json` says; of merged branches and splits only where there are any."""
        optional = {"reparameterised", "split_widths"}
        return {key: value for key, value in asdict(self).items() if value or key not in optional}


@dataclass(frozen=True)
class PretrainedWeights:
    """Pretrained weights, and what belongs to them."""

    load: Callable[[], dict[str, Tensor]]
    """Returns tensors named as the published network names them, head included.

    Raises OSError where they would have to be downloaded and cannot be.
    """
    mean: tuple[float, ...]
    """Per channel, of pixels scaled to 0..1: the normalisation that they were trained with."""
    std: tuple[float, ...]
    source: str
    licence: str
    """Its SPDX name where there is one; `unknown` where the publisher does not say it."""
    image_size: int | None = None
    """Height and width that it was scored with, pixels, as `data.image_size`; None: not known."""
    crop: float | None = None
    """Share of an image around its centre that it was scored with, as `data.crop`."""


@dataclass(frozen=True)
class Backbone:
    """A network that can be chosen: of the registry, or found by its name."""

    publish: Callable[..., nn.Module]
    """Builds the network as published, for so many classes, with random weights; one of the user's
    own (`takes_channels`) for so many channels as well."""
    stem: str
    """Name of the first convolution; of a linear layer where the network begins with one."""
    head: str
    """Prefix of the parameters that classify: what is trained while the rest is frozen."""
    stages: tuple[str, ...]
    """Names of the parts between stem and head, in order: what is unfrozen from its end."""
    imagenet: PretrainedWeights | None
    """What `pretrained: imagenet` loads; None where nobody publishes weights."""
    rewrite: Callable[[nn.Module], None] | None = None
    """Gives the published network, in place, another form of the same function."""
    is_found: bool = False
    """Whether the names above were found by looking into the network, not written down."""
    takes_channels: bool = False
    """Whether `publish` is told the number of channels."""
    trunk: tuple[str, ...] = ()
    """All parts with weights between stem and head in order of execution, where they were found;
    weights need not be defined in that order."""
    image_size: int | None = None
    """Pixels of the square images with which they were found: the network takes those."""
    beside: tuple[str, ...] = ()
    """Names of the other layers that read the image itself, as branches beside the stem do."""
    classifying: tuple[str, ...] = ()
    """Names of the parameters that classify, where they are not those of the head alone: some are
    read behind the last layer, as those of a cosine head or a scale of the logits."""

    @property
    def stems(self) -> tuple[str, ...]:
        """Names of all layers that read the image itself."""
        return self.stem, *self.beside

    def outline(self, num_classes: int) -> nn.Module:
        """Return the network as published, to look at: names and shapes; values mean nothing.

        Of a network of the registry there are none, which is fast; others may want values while
        they are built. Random numbers that are drawn later are the same with or without this.
        """
        import torch

        if not self.is_found:
            with torch.device("meta"):
                return self.publish(num_classes)
        with torch.random.fork_rng(devices=[]):
            return self.publish(num_classes)

    def make(
        self, architecture: Architecture, adopt: Callable[[nn.Module], None] | None = None
    ) -> nn.Module:
        """Return the network with its stem, activations and head as the architecture says.

        `adopt` may load tensors into the published form of the network.
        """
        if self.takes_channels:
            network = self.publish(architecture.num_classes, architecture.channels)
        else:
            network = self.publish(architecture.num_classes)
        if not (self.is_found and _has_stem(network, self, architecture)):
            _replace_stems(network, self, architecture)
        if architecture.activation != "keep":
            from slimline.networks import activations

            activations.exchange(network, architecture.activation)
        if adopt is not None:
            adopt(network)
        if self.rewrite is not None:
            self.rewrite(network)
        if architecture.reparameterised:
            from slimline.networks import reparameterisation

            reparameterisation.merge(network)
        _set_split_widths(network, architecture)
        return network


def _set_split_widths(network: nn.Module, architecture: Architecture) -> None:
    """Write widths into the modules that split by them.

    Raises:
        NetworkError: the network has none of that name.
    """
    modules = dict(network.named_modules()) if architecture.split_widths else {}
    for name, numbers in architecture.split_widths.items():
        for attribute, value in numbers.items():
            if not hasattr(modules.get(name), attribute):
                raise NetworkError(
                    f"{architecture.backbone}: has no {name}.{attribute}, which architecture."
                    "split_widths of model.json says; copy the folder again, weights and all"
                )
            setattr(modules[name], attribute, value)


def _has_stem(model: nn.Module, entry: Backbone, architecture: Architecture) -> bool:
    """Return whether all layers that read the image are already what the architecture says.

    Raises:
        NetworkError: there is one that may not be exchanged.
    """
    stem = model.get_submodule(entry.stem)
    wanted = (architecture.stem_stride, architecture.stem_kernel)
    has_shape = stride_and_kernel(stem) == wanted
    exchanged = {}
    for name in entry.stems:
        layer = model.get_submodule(name)
        if takes_images(layer):
            exchanged[name] = layer
        else:
            is_kept = has_shape or layer is not stem
            _check_kept(layer, name, entry, architecture, has_shape=is_kept)
    if has_shape and all(
        layer.in_channels == architecture.channels for layer in exchanged.values()
    ):
        return True
    for layer in exchanged.values():
        _check_exchanged(layer, architecture, has_shape=has_shape)
    _check_together(exchanged, entry, architecture)
    return False


def _check_exchanged(stem: nn.Conv2d, architecture: Architecture, *, has_shape: bool) -> None:
    """Look at a first convolution that is to be exchanged.

    Raises:
        NetworkError: it may not be.
    """
    from torch import nn

    if not has_shape and stem.stride[0] > max(2, stem.kernel_size[0] // 2):
        raise NetworkError(
            f"{architecture.backbone}: begins with patches of {stem.kernel_size[0]} x "
            f"{stem.kernel_size[1]} pixels, which stand for the whole network; write "
            "stem_stride: keep and stem_kernel: keep"
        )
    if type(stem) is not nn.Conv2d and type(stem).__name__ != "Conv2dSame":
        raise NetworkError(
            f"{architecture.backbone}: its first convolution is a {type(stem).__name__}, which can "
            f"only be kept as it is: write stem_stride: keep and stem_kernel: keep, with images of "
            f"{stem.in_channels} channels"
        )


def _check_together(
    layers: Mapping[str, nn.Conv2d], entry: Backbone, architecture: Architecture
) -> None:
    """Look at convolutions that read the image side by side: what differs in them stays.

    Raises:
        NetworkError: it would not.
    """
    shapes = {name: stride_and_kernel(layer) for name, layer in layers.items()}
    strides, kernels = (set(each) for each in zip(*shapes.values(), strict=True))
    stride, kernel = shapes[entry.stem]
    kept = []
    if stride != architecture.stem_stride and len(strides) > 1:
        kept.append("stem_stride: keep")
    if kernel != architecture.stem_kernel and len(kernels) > 1:
        kept.append("stem_kernel: keep")
    if kept:
        listed = ", ".join(
            f"{name} ({each[1]} x {each[1]} pixels, stride {each[0]})"
            for name, each in shapes.items()
        )
        raise NetworkError(
            f"{architecture.backbone}: {len(shapes)} layers read the image side by side, each in "
            f"its own way: {listed}; write {' and '.join(kept)}"
            f"{_ANOTHER_FIRST if entry.takes_channels else ''}"
        )


_ANOTHER_FIRST = (
    "; where another one is the first convolution, the network can say so: an attribute "
    'pretrained_cfg = {"first_conv": "name.of.the.layer"} (docs/networks.md)'
)


def _check_kept(
    layer: nn.Module, name: str, entry: Backbone, architecture: Architecture, *, has_shape: bool
) -> None:
    """Look at a layer that takes more or less than the image, and can only stay as it is.

    Raises:
        NetworkError: it cannot.
    """
    if has_shape and (entry.takes_channels or architecture.channels == _RGB):
        return
    more = _ANOTHER_FIRST if entry.takes_channels else f", with images of {_RGB} channels"
    which = f"its first layer, {name}," if name == entry.stem else f"{name} reads the image too,"
    raise NetworkError(
        f"{architecture.backbone}: {which} is a {type(layer).__name__} that takes no image, but "
        "what is made of it, and can only be kept as it is: write stem_stride: keep and "
        f"stem_kernel: keep{more}"
    )


def takes_images(stem: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Return whether a first layer is a convolution over images, which may be exchanged.

    It is none where pixels are brought into channels before, or patches into rows.
    """
    from torch import nn

    return isinstance(stem, nn.Conv2d) and stem.in_channels in {1, _RGB}


def stride_and_kernel(stem: nn.Module) -> tuple[int, int]:
    """Return those of a first layer; a linear one is a convolution of 1 x 1."""
    from torch import nn

    if not isinstance(stem, nn.Conv2d):
        return 1, 1
    return int(stem.stride[0]), int(stem.kernel_size[0])


def _replace_stems(model: nn.Module, entry: Backbone, architecture: Architecture) -> None:
    """Exchange all convolutions over images; where those beside the stem differ, they keep that."""
    layers = {name: model.get_submodule(name) for name in entry.stems}
    before = stride_and_kernel(layers[entry.stem])
    after = (architecture.stem_stride, architecture.stem_kernel)
    for name, layer in layers.items():
        if not takes_images(layer):
            continue
        own = stride_and_kernel(layer)
        stride, kernel = (
            new if each == old else each for each, old, new in zip(own, before, after, strict=True)
        )
        if entry.is_found and own == (stride, kernel):
            stem = of_channels(layer, architecture.channels)
        else:
            stem = _of_shape(layer, architecture.channels, stride, kernel)
        model.set_submodule(name, stem)


def _of_shape(layer: nn.Conv2d, channels: int, stride: int, kernel: int) -> nn.Conv2d:
    from torch import nn

    is_patch = layer.stride == layer.kernel_size
    return nn.Conv2d(
        channels,
        layer.out_channels,
        kernel,
        stride=stride,
        padding=0 if is_patch else kernel // 2,
        bias=layer.bias is not None,
    )


def of_channels(layer: nn.Conv2d, channels: int) -> nn.Conv2d:
    """Return a convolution like this one but for its input channels, with new weights.

    Its class stays, by which timm pads as TensorFlow does, and all else that it was made with.
    """
    from torch import nn

    made = copy.deepcopy(layer)
    made.in_channels, made.groups = channels, math.gcd(layer.groups, channels)
    outputs, _, height, width = layer.weight.shape
    shape = (outputs, channels // made.groups, height, width)
    made.weight = nn.Parameter(layer.weight.new_empty(shape))
    made.reset_parameters()
    return made
