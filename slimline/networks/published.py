"""Entries for networks that torchvision and timm publish, a call each; their own names are used."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from slimline.networks.architecture import Backbone, PretrainedWeights

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

_ARGUMENTS: dict[str, dict[str, bool]] = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}
"""Of networks that would answer with several tensors while they train."""

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_NORMALISING = {"googlenet", "inception_v3"}
"""Of torchvision, whose published form first brings ImageNet's normalisation to mean and std 0.5;
ours is built without that step, and given images that are normalised so."""

_LICENCES = {"https://github.com/facebookresearch/SWAG/blob/main/LICENSE": "CC-BY-NC-4.0"}
"""What torchvision names by an address."""

UNKNOWN = "unknown"
"""The licence of weights whose publisher does not say it."""


def of_torchvision(
    name: str,
    *,
    stem: str,
    head: str,
    stages: tuple[str, ...],
    rewrite: Callable[[nn.Module], None] | None = None,
) -> Backbone:
    """Return an entry for a network of torchvision."""

    def publish(num_classes: int) -> nn.Module:
        import torchvision.models

        model: nn.Module = torchvision.models.get_model(
            name, weights=None, num_classes=num_classes, **_ARGUMENTS.get(name, {})
        )
        return model

    imagenet = PretrainedWeights(
        partial(_load_torchvision, name),
        _IMAGENET_MEAN,
        _IMAGENET_STD,
        source=f"torchvision: {name}, default ImageNet weights",
        licence="BSD-3-Clause",
    )
    return Backbone(publish, stem, head, stages, imagenet, rewrite)


def torchvision_weights(name: str) -> PretrainedWeights:
    """Return torchvision's default weights of one of its classifiers, as its enumeration says.

    They come under the licence of torchvision where that names no other.
    """
    import torchvision.models

    weights = torchvision.models.get_model_weights(name).DEFAULT
    frame = weights.transforms()
    mean, std = tuple(frame.mean), tuple(frame.std)
    if name in _NORMALISING:
        mean, std = (0.5,) * 3, (0.5,) * 3
    licence = weights.meta.get("license")
    return PretrainedWeights(
        partial(_load_torchvision, name),
        mean,
        std,
        source=f"torchvision: {name}, {weights.name}, {weights.url}",
        licence=_LICENCES.get(licence, licence) if licence else "BSD-3-Clause",
        image_size=frame.crop_size[0],
        crop=frame.crop_size[0] / frame.resize_size[0],
    )


def _load_torchvision(name: str) -> dict[str, Tensor]:
    import torchvision.models

    weights = torchvision.models.get_model_weights(name).DEFAULT
    tensors: dict[str, Tensor] = weights.get_state_dict(
        progress=False, check_hash=True, weights_only=True, map_location="cpu"
    )
    return tensors


def of_timm(
    name: str,
    *,
    num_blocks: int,
    imagenet: PretrainedWeights | None = None,
    bn_eps: float | None = None,
) -> Backbone:
    """Return an entry for one of timm's mobile networks, whose parts all have the same names."""

    def publish(num_classes: int) -> nn.Module:
        import timm

        model: nn.Module = timm.create_model(name, num_classes=num_classes, bn_eps=bn_eps)
        return model

    stages = (*(f"blocks.{block}" for block in range(num_blocks)), "conv_head")
    return Backbone(publish, "conv_stem", "classifier.", stages, imagenet or timm_imagenet(name))


def timm_imagenet(
    name: str,
    *,
    mean: tuple[float, ...] = _IMAGENET_MEAN,
    std: tuple[float, ...] = _IMAGENET_STD,
) -> PretrainedWeights:
    """Return the weights that timm's authors publish for a network."""
    return PretrainedWeights(
        partial(_load_timm, name),
        mean,
        std,
        source=f"timm: {name}, default ImageNet weights",
        licence="Apache-2.0",
    )


def timm_weights(name: str) -> PretrainedWeights | None:
    """Return timm's default weights of one of its networks, as its `pretrained_cfg` says.

    None where there are none.
    """
    from timm.models import get_pretrained_cfg

    known = get_pretrained_cfg(name)
    if known is None or not known.has_weights:
        return None
    return PretrainedWeights(
        partial(_load_timm, name),
        tuple(known.mean),
        tuple(known.std),
        source=f"timm: {name}.{known.tag}, {known.hf_hub_id or known.url}",
        licence=known.license or UNKNOWN,
        image_size=known.input_size[-1],
        crop=known.crop_pct,
    )


def _load_timm(name: str) -> dict[str, Tensor]:
    import timm

    tensors: dict[str, Tensor] = timm.create_model(name, pretrained=True).state_dict()
    return tensors
