"""A network together with what it takes to use it; built, rebuilt, and traced here.

The networks themselves come from `slimline.backbones`; folders on disk are in
`slimline.core.artifacts`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from slimline.backbones import REGISTRY, Architecture
from slimline.core.data import Split
from slimline.core.errors import ArtifactError, ParamsError
from slimline.core.preprocessing import Preprocessing
from slimline.core.recipe import ModelParams

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
    pretrained: Mapping[str, str] | None = None
    """Source and licence of the weights it began with."""

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
        return Classifier(
            network, self.architecture, self.classes, self.preprocessing, self.pretrained
        )


def build(settings: ModelParams, split: Split, *, pretrained: str = "none") -> Classifier:
    """Return a classifier for the split's classes, with random or pretrained weights.

    Raises:
        ParamsError: the backbone has no such weights.
    """
    architecture = Architecture(
        settings.backbone,
        len(split.classes),
        split.preprocessing.channels,
        settings.stem_stride,
        settings.stem_kernel,
    )
    network = make(architecture)
    if pretrained == "none":
        return Classifier(network, architecture, split.classes, split.preprocessing)
    weights = REGISTRY[settings.backbone].imagenet
    if weights is None:
        known = [name for name, backbone in REGISTRY.items() if backbone.imagenet]
        raise ParamsError(
            [
                f"params.yaml: backbone_swap.pretrained: {settings.backbone} has no packaged "
                f"ImageNet weights; these have: {', '.join(known)}"
            ]
        )
    _adopt(network, weights.load(), stem=REGISTRY[settings.backbone].stem)
    preprocessing = _normalised_for(split.preprocessing, weights.mean, weights.std)
    account = {"source": weights.source, "licence": weights.licence}
    return Classifier(network, architecture, split.classes, preprocessing, account)


def make(architecture: Architecture) -> nn.Module:
    """Return the network with random weights, and BatchNorm statistics that fit a short run."""
    network = REGISTRY[architecture.backbone].make(architecture)
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


class _Tracer(fx.Tracer):
    """Keeps BatchNorm whole, also timm's, which is a subclass with an activation inside."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.BatchNorm2d) or super().is_leaf_module(m, module_qualified_name)


def trace(network: nn.Module) -> fx.GraphModule:
    """Return the network as a graph of layers; it shares the weights with the original."""
    return fx.GraphModule(network, _Tracer().trace(network))


def _adopt(network: nn.Module, tensors: dict[str, Tensor], *, stem: str) -> None:
    """Load pretrained tensors; a grey stem gets the sum over RGB, a head of another size none.

    A stem of another kernel keeps its random weights.
    """
    own = network.state_dict()
    name = f"{stem}.weight"
    if own[name].shape[1] == 1:
        tensors[name] = tensors[name].sum(1, keepdim=True)
    fitting = {key: value for key, value in tensors.items() if own[key].shape == value.shape}
    network.load_state_dict(own | fitting, strict=True)


def _normalised_for(
    preprocessing: Preprocessing, mean: Sequence[float], std: Sequence[float]
) -> Preprocessing:
    channels = preprocessing.channels
    fields: dict[str, Any] = preprocessing.to_dict()
    return Preprocessing.from_dict(
        fields | {"mean": list(mean[:channels]), "std": list(std[:channels])}
    )
