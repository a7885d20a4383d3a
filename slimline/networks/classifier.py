"""A network together with what it takes to use it; built and rebuilt here.

The networks themselves come from `slimline.networks.registry`; folders on disk are in
`slimline.artifacts.model_folder`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.errors import ArtifactError
from slimline.networks import pretrained
from slimline.networks.architecture import Architecture, PretrainedWeights
from slimline.networks.registry import REGISTRY
from slimline.networks.settings import ModelParams

BATCHNORM_MOMENTUM = 0.1
"""MobileNetV3 and EfficientNet come with 0.01, whose running statistics are still near their start
after the few hundred steps of a short run (17 % instead of 86 % measured)."""


@dataclass(frozen=True)
class Classifier:
    """A network, how it is built, and how an image becomes its input."""

    network: nn.Module
    architecture: Architecture
    classes: Sequence[str]
    preprocessing: Preprocessing
    pretrained: Mapping[str, Any] | None = None
    """Source and licence of the weights it began with, and what of them fitted."""

    @property
    def example(self) -> Tensor:
        """Two black images, float32 [2, channels, height, width]."""
        frame = self.preprocessing
        return torch.zeros(2, frame.channels, frame.height, frame.width)

    @property
    def head(self) -> str:
        """Prefix of the parameters that classify."""
        return REGISTRY[self.architecture.backbone].head

    def with_network(self, network: nn.Module) -> "Classifier":
        """Return the same classifier with another network."""
        return replace(self, network=network)


def build(settings: ModelParams, split: Split, weights_folder: Path) -> Classifier:
    """Return a classifier for the split's classes, with random or pretrained weights.

    `weights_folder` holds the files that `pretrained` may name.

    Raises:
        PretrainedError: the weights cannot be had, or are those of another network.
    """
    architecture = Architecture(
        settings.backbone,
        len(split.classes),
        split.preprocessing.channels,
        settings.stem_stride,
        settings.stem_kernel,
        settings.activation,
    )
    weights = pretrained.find(settings.pretrained, settings.backbone, weights_folder)
    if weights is None:
        return Classifier(make(architecture), architecture, split.classes, split.preprocessing)
    tensors = pretrained.load(weights)
    account = pretrained.Account()
    stem = REGISTRY[settings.backbone].stem

    def adopt(network: nn.Module) -> None:
        nonlocal account
        account = pretrained.adopt(network, tensors, source=weights.source, stem=stem)

    network = make(architecture, adopt)
    print(f"{weights.source}: {account}")
    origin = {"source": weights.source, "licence": weights.licence, **account.to_dict()}
    preprocessing = _normalised_for(split.preprocessing, weights)
    return Classifier(network, architecture, split.classes, preprocessing, origin)


def make(architecture: Architecture, adopt: Callable[[nn.Module], None] | None = None) -> nn.Module:
    """Return the network with random weights, and BatchNorm statistics that fit a short run.

    `adopt` may load tensors into it, under the names of the published network.
    """
    network = REGISTRY[architecture.backbone].make(architecture, adopt)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = BATCHNORM_MOMENTUM
    return network


def fit_shapes(network: nn.Module, shapes: Mapping[str, Sequence[int]]) -> None:
    """Cut a fresh network to the widths that pruning left: `shapes` of weights by name.

    A depthwise convolution is known by its weight having one input channel. A BatchNorm that was
    folded has no weight: it is as wide as the layer before it.

    Raises:
        ArtifactError: a layer of the network has no weight of that name.
    """
    before: Sequence[int] = ()
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            shape = shapes.get(f"{name}.weight")
            if shape is None and isinstance(module, nn.BatchNorm2d):
                shape = before[:1]
            if shape is None:
                raise ArtifactError(f"the weights have no tensor {name}.weight")
            _fit_module(module, shape)
            before = shape


def _fit_module(module: nn.Conv2d | nn.Linear | nn.BatchNorm2d, shape: Sequence[int]) -> None:
    if isinstance(module, nn.BatchNorm2d):
        module.num_features = shape[0]
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = shape[:2]
    else:
        is_depthwise = module.groups == module.in_channels > 1
        module.out_channels = shape[0]
        module.groups = shape[0] if is_depthwise else module.groups
        module.in_channels = shape[1] * module.groups
    for name, tensor in [
        *module.named_parameters(recurse=False),
        *module.named_buffers(recurse=False),
    ]:
        if tensor.dim() == 0:
            continue
        size = shape if name == "weight" else shape[:1]
        fresh = torch.zeros(*size, dtype=tensor.dtype)
        if isinstance(tensor, nn.Parameter):
            setattr(module, name, nn.Parameter(fresh))
        else:
            setattr(module, name, fresh)


def adapted(teacher: Classifier, preprocessing: Preprocessing) -> nn.Module:
    """Return a teacher's network that takes images normalised as its pupil wants them."""
    if teacher.preprocessing == preprocessing:
        return teacher.network
    return nn.Sequential(_Renormalise(preprocessing, teacher.preprocessing), teacher.network)


class _Renormalise(nn.Module):
    """From one normalisation to another, for the same number of channels."""

    factor: Tensor
    offset: Tensor

    def __init__(self, given: Preprocessing, wanted: Preprocessing) -> None:
        super().__init__()
        shape = (1, -1, 1, 1)
        mean, std = (torch.tensor(each).view(shape) for each in (given.mean, given.std))
        new_mean, new_std = (torch.tensor(each).view(shape) for each in (wanted.mean, wanted.std))
        self.register_buffer("factor", std / new_std)
        self.register_buffer("offset", (mean - new_mean) / new_std)

    def forward(self, images: Tensor) -> Tensor:
        return images * self.factor + self.offset


def _normalised_for(preprocessing: Preprocessing, weights: PretrainedWeights) -> Preprocessing:
    """Return the normalisation that the weights were trained with, if it is known."""
    if not weights.mean:
        return preprocessing
    channels = preprocessing.channels
    return replace(preprocessing, mean=weights.mean[:channels], std=weights.std[:channels])
