"""Entries for networks that torchvision and timm publish, a call each; their own names are used."""

from __future__ import annotations

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

    def load() -> dict[str, Tensor]:
        import torchvision.models

        weights = torchvision.models.get_model_weights(name).DEFAULT
        tensors: dict[str, Tensor] = weights.get_state_dict(
            progress=False, check_hash=True, weights_only=True, map_location="cpu"
        )
        return tensors

    imagenet = PretrainedWeights(
        load,
        _IMAGENET_MEAN,
        _IMAGENET_STD,
        source=f"torchvision: {name}, default ImageNet weights",
        licence="BSD-3-Clause",
    )
    return Backbone(publish, stem, head, stages, imagenet, rewrite)


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

    def load() -> dict[str, Tensor]:
        import timm

        tensors: dict[str, Tensor] = timm.create_model(name, pretrained=True).state_dict()
        return tensors

    return PretrainedWeights(
        load, mean, std, source=f"timm: {name}, default ImageNet weights", licence="Apache-2.0"
    )
