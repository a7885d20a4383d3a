"""What all pruning methods share: the settings, and what a method must be able to do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from slimline.params import Params
from slimline.training.settings import DistilledRecipe

if TYPE_CHECKING:
    from slimline.data.split_files import Split
    from slimline.networks.classifier import Classifier
    from slimline.pruning.groups import Plan

Unit = Literal["layer_share", "global_share", "relative", "absolute"]

SHARES: frozenset[Unit] = frozenset({"layer_share", "global_share"})
"""Units in which a threshold is a share of what is there, below 1."""

_LARGEST_SHARE = 0.9

Share = Annotated[float, Field(gt=0, le=1)]


class Target(Params):
    """How much of the swapped model shall be left, within 2 %; at most one share is below 1.

    It takes the place of `threshold`: the threshold that meets it is found, and is in `model.json`.
    """

    macs: Share = 1.0
    """Share of the multiply-accumulates to keep; 1 is no target."""

    params: Share = 1.0
    """Share of the parameters that are not zero to keep; 1 is no target."""

    latency: Share = 1.0
    """Share of the int8 model's time for one image to keep, by data/layer_times.json; 1 is no
    target."""

    @property
    def given(self) -> tuple[str, float] | None:
        """The name of what is limited, and the share to keep; None without a target."""
        return next(((name, share) for name, share in self if share < 1), None)

    @model_validator(mode="after")
    def _only_one(self) -> Self:
        asked = [name for name, share in self if share < 1]
        if len(asked) > 1:
            raise ValueError(f"must have one share below 1 at most, not {' and '.join(asked)}")
        return self


class PruneSettings(Params, ABC):
    """Section `prune`; every method has the same keys, so that changing the method is one word."""

    removes_macs: ClassVar[bool]
    """Whether what the method removes needs no multiply-accumulate any more."""

    has_absolute_unit: ClassVar[bool] = False
    """Whether importance is the absolute value of single weights."""

    unit: Unit
    """What `threshold` is measured in.

    layer_share: in each layer, the least important parts that together hold at most so large a
    share of the layer's importance; it means the same in every layer. global_share: the same with
    all layers in one ranking, by importance relative to the layer's mean. relative: parts less
    important than so many times the layer's mean. absolute: weights of a smaller absolute value."""

    threshold: Annotated[float, Field(ge=0)]
    """How much is removed, in `unit`; 0 removes nothing, more removes more."""

    target: Target
    """How much shall be left, in place of a threshold."""

    rates: Literal["uniform", "auto"]
    """uniform: the threshold counts for every layer. auto: it is the mean over layers, and the scan
    of stage `sensitivity` says which give more; all give at an equal price in accuracy."""

    layers: dict[str, Annotated[float, Field(ge=0, le=1)]]
    """The largest share of its importance that a layer may lose, by patterns of layer names, as
    `stage2.*`; the first that fits counts, 0 spares a layer. Of layers that are pruned together the
    least limit counts."""

    steps: Annotated[int, Field(ge=1, le=100)]
    """Rounds of cutting and recovering on the way to the threshold or target."""

    max_drop: Annotated[float, Field(ge=0, le=100)]
    """Percentage points of validation accuracy (of mean recall, where `recover` selects by that)
    below the swapped model that a round may end at; a round that ends lower is undone, and pruning
    stops there."""

    channel_multiple: Annotated[int, Field(ge=1, le=256)]
    """Widths are rounded to the nearest multiple of this, which kernels like (decision 6)."""

    teacher: Literal["backbone_swap", "baseline_train"]
    """Which model teaches in recovery: the one before pruning, or the reference."""

    recover: DistilledRecipe
    """Fine-tuning after each round."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing shall be removed, and nothing trained."""
        cuts_nothing = self.threshold == 0 and self.target.given is None
        return cuts_nothing and self.recover.epochs == 0

    def as_control(self, rounds: int) -> Self:
        """Return the same recovery with nothing cut, of as many rounds as the pruned model kept."""
        whole = {"threshold": 0.0, "target": Target(macs=1.0, params=1.0, latency=1.0)}
        plain = {"rates": "uniform", "max_drop": 100.0}
        return self.model_copy(update={**whole, **plain, "steps": rounds})

    @abstractmethod
    def survey(self, model: Classifier, calibration: Split) -> Plan:
        """Return what the model could lose, and how important it is; nothing is changed yet."""

    @field_validator("unit")
    @classmethod
    def _absolute_is_for_weights(cls, unit: Unit) -> Unit:
        if not cls.has_absolute_unit and unit == "absolute":
            raise ValueError(
                "must be layer_share, global_share or relative unless method is magnitude"
            )
        return unit

    @field_validator("threshold")
    @classmethod
    def _within_unit(cls, threshold: float, info: ValidationInfo) -> float:
        if info.data.get("unit") in SHARES and threshold > _LARGEST_SHARE:
            raise ValueError(f"must be at most {_LARGEST_SHARE} in unit {info.data['unit']}")
        return threshold

    @field_validator("target")
    @classmethod
    def _can_be_met(cls, target: Target) -> Target:
        if min(target.macs, target.latency) < 1 and not cls.removes_macs:
            raise ValueError("must have no share but params unless the method removes channels")
        return target

    @field_validator("rates")
    @classmethod
    def _auto_is_by_layer(cls, rates: str, info: ValidationInfo) -> str:
        if rates == "auto" and info.data.get("unit") not in {None, "layer_share"}:
            raise ValueError(f"must be uniform unless unit is layer_share, not {info.data['unit']}")
        return rates


def threshold_of_round(settings: PruneSettings, number: int) -> float:
    """Return the threshold for round `number`, from 1, so that all of them add up.

    A share is of what the rounds before have left; another unit rises evenly. By a scan it is the
    mean of what layers lose in all rounds together, as the scan has measured it.
    """
    if settings.rates == "auto":
        return settings.threshold
    if settings.unit not in SHARES:
        return settings.threshold * number / settings.steps
    kept: float = (1 - settings.threshold) ** (1 / settings.steps)
    return 1 - kept


def share_of_round(share: float, rounds: int) -> float:
    """Return what each of so many rounds may remove of what is left, to remove `share` in all."""
    return share if rounds == 1 else 1 - (1 - share) ** (1 / rounds)


class PruneControlParams(Params):
    """Section `prune_control`: what of pruning's accuracy is more training; off by default."""

    train: bool
    """Whether to recover the swapped model as `prune` does with nothing cut, for its line in the
    report."""


class SensitivityParams(Params):
    """Section `sensitivity`: what `prune.rates: auto` rests on; off unless shares are given."""

    shares: list[Annotated[float, Field(gt=0, lt=1)]]
    """Shares of each layer's importance to remove, one layer at a time; an empty list scans
    nothing."""

    images: Annotated[int, Field(ge=0)]
    """Validation images per measurement, the first of the split; 0: all."""
