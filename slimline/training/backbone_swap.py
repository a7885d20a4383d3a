"""Moves a task onto an efficient backbone: new head first, then the stages, with a teacher.

The order is what practitioners use with pretrained weights: a random head would wreck good
features with its first gradients, so it is trained alone until it fits.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, PlainValidator, ValidationInfo, field_validator

from slimline.errors import ParamsError
from slimline.networks import backbone_names, backbones
from slimline.networks.settings import ModelParams
from slimline.training.settings import Recipe, TransferRecipe

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import nn

    from slimline.data.split_files import Split
    from slimline.networks.architecture import Backbone
    from slimline.networks.classifier import Classifier
    from slimline.training.checkpoints import Checkpoints
    from slimline.training.loop import Fitted


Unfreeze: TypeAlias = Literal["all"] | int
"""How many of the last stages are trained beside the head; 0: the head alone."""


def _all_or_count(given: Any) -> Any:
    if given != "all" and (type(given) is not int or given < 0):
        raise ValueError("must be all, or a number of stages, 0 for the head alone")
    return given


KEEP = "keep"


def _known_or_keep(name: str) -> str:
    return name if name == KEEP else backbone_names.check(name)


class BackboneSwapParams(ModelParams):
    """Section `backbone_swap`."""

    backbone: Annotated[str, AfterValidator(_known_or_keep)]
    """A name of slimline/networks/registry.py, or keep: the baseline itself goes on, whole."""

    frozen: Recipe
    """First phase: only the head is trained, all else is frozen."""

    unfreeze: Annotated[Unfreeze, PlainValidator(_all_or_count)]
    """What the second phase trains: all layers, or the head and so many of the last stages; 0: the
    head alone."""

    unfrozen: TransferRecipe
    """Second phase, distilled from the baseline."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is trained."""
        return self.frozen.epochs == 0 and self.unfrozen.epochs == 0

    @field_validator("pretrained", "stem_stride", "stem_kernel", "activation")
    @classmethod
    def _is_kept_too(cls, value: Any, info: ValidationInfo) -> Any:
        wanted = "none" if info.field_name == "pretrained" else KEEP
        if info.data.get("backbone") == KEEP and value != wanted:
            raise ValueError(f"must be {wanted} with backbone keep: the baseline goes on as it is")
        return value


@dataclass(frozen=True)
class Phase:
    """What was trained in one phase, for `model.json`."""

    name: str
    parts: list[str]
    """Names of the layers that were trained; a part that was trained as a whole is one name."""
    trained_params: int
    frozen_params: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)


def swap(
    teacher: Classifier,
    train: Split,
    validation: Split,
    settings: BackboneSwapParams,
    *,
    weights_folder: Path,
    seed: int,
    checkpoints: Checkpoints | None = None,
) -> tuple[Classifier, Fitted, list[Phase]]:
    """Return a trained classifier on the new backbone, its learning curve, and what was trained.

    Raises:
        ParamsError: the backbone has fewer stages than shall be unfrozen.
        PretrainedError: the weights cannot be had, or are those of another network.
    """
    from slimline.networks import classifier
    from slimline.training import loop
    from slimline.training.scores import UNTRAINED

    is_kept = settings.backbone == KEEP
    student = begin(teacher, train, settings, weights_folder)
    fixed = [each for each in student.network.parameters() if not each.requires_grad]
    begun = {} if is_kept or not student.pretrained else student.pretrained
    random = set(begun.get("random", ()))
    rows, phases = [], []
    plan: list[tuple[str, Recipe, Unfreeze, nn.Module | None]] = [
        ("frozen", settings.frozen, 0, None),
        (
            "unfrozen",
            settings.unfrozen,
            settings.unfreeze,
            classifier.adapted(teacher, student.preprocessing),
        ),
    ]
    score = None if is_kept or student.pretrained else UNTRAINED
    for name, recipe, unfreeze, asked in plan:
        freeze(student.network, student.architecture.backbone, unfreeze)
        for place, weight in student.network.named_parameters():
            if place in random:  # As the second head of DeiT, beside the one that is known.
                weight.requires_grad = True
        _fix(fixed)
        if recipe.epochs > 0:
            phases.append(_account(name, student.network))
        fitted = loop.fit(
            student.network,
            train,
            validation,
            recipe,
            preprocessing=student.preprocessing,
            seed=seed,
            phase=name,
            head=student.head,
            teacher=asked,
            start=score,
            checkpoints=checkpoints,
            kept_zeros=student.given,
        )
        rows += fitted.rows
        score = fitted.kept
    student.network.requires_grad_(True)
    _fix(fixed)
    return student, replace(fitted, rows=rows), phases


def _fix(parameters: Iterable[nn.Parameter]) -> None:
    """Freeze what the network itself does, as filters that somebody has designed."""
    for each in parameters:
        each.requires_grad = False


def begin(
    teacher: Classifier, train: Split, settings: BackboneSwapParams, weights_folder: Path
) -> Classifier:
    """Return what the phases begin with: the new backbone, or another copy of the teacher.

    Raises:
        ParamsError: the backbone has fewer stages than shall be unfrozen.
        PretrainedError: the weights cannot be had, or are those of another network.
    """
    from slimline.networks import classifier

    check_unfreeze(settings, teacher.architecture.backbone)
    if settings.backbone == KEEP:
        return teacher.with_network(copy.deepcopy(teacher.network))
    return classifier.build(settings, train, weights_folder, unchanged=settings.is_idle)


def check_unfreeze(settings: BackboneSwapParams, baseline: str, path: str = "params.yaml") -> None:
    """Compare `unfreeze` with what the backbone has; `baseline` is that of the baseline.

    Raises:
        ParamsError: the backbone has fewer stages than shall be unfrozen.
    """
    name = baseline if settings.backbone == KEEP else settings.backbone
    known = len(backbones.find(name).stages)
    if settings.unfreeze != "all" and settings.unfreeze > known:
        raise ParamsError(
            [
                f"{path}: backbone_swap.unfreeze: {name} has {known} stages "
                f"(given {settings.unfreeze})"
            ]
        )


def freeze(network: nn.Module, backbone: str, unfreeze: Unfreeze) -> None:
    """Let only the head and the last `unfreeze` stages be trained; 0 leaves the head alone.

    Parameters of a network of the registry stand in the order in which images meet them, so that
    all before the first unfrozen stage are frozen, and all behind it are not; of another one, its
    parts are known in that order.
    """
    entry = backbones.find(backbone)
    if entry.is_found and unfreeze != "all":
        network.requires_grad_(False)
        for part in _last_parts(entry, unfreeze):
            network.get_submodule(part).requires_grad_(True)
        for name in entry.classifying:
            network.get_parameter(name).requires_grad = True
        return
    first = entry.head if unfreeze in {0, "all"} else f"{entry.stages[-int(unfreeze)]}."
    is_trained = unfreeze == "all"
    for name, weight in network.named_parameters():
        is_trained = is_trained or name.startswith(first)
        weight.requires_grad = is_trained


def _last_parts(entry: Backbone, unfreeze: int) -> list[str]:
    """Return the head and all parts from the first unfrozen stage on.

    Without any, and where parameters are known to classify, there is none.
    """
    if unfreeze == 0 and entry.classifying:
        return []
    head = entry.head.removesuffix(".")
    first = entry.trunk.index(entry.stages[-unfreeze]) if unfreeze else len(entry.trunk)
    return [*entry.trunk[first:], head]


def _account(phase: str, network: nn.Module) -> Phase:
    weights = list(network.named_parameters())
    return Phase(
        phase,
        _whole_parts(network),
        trained_params=sum(each.numel() for _, each in weights if each.requires_grad),
        frozen_params=sum(each.numel() for _, each in weights if not each.requires_grad),
    )


def _whole_parts(module: nn.Module, name: str = "") -> list[str]:
    """Return the names of the largest parts in which everything is trained."""
    states = {weight.requires_grad for weight in module.parameters()}
    if states == {True} and name:
        return [name]
    if True not in states:
        return []
    return [
        part
        for key, child in module.named_children()
        for part in _whole_parts(child, f"{name}.{key}" if name else key)
    ]
