"""What a branch changes against another commit, as typed data; the template only arranges it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import hypot
from typing import Any

from slimline.measure import paired_answers
from slimline.measure.paired_answers import Paired
from slimline.measure.results import Results
from slimline.measure.retimed import SideBySide
from slimline.measure.significance import SURE_95
from slimline.measure.training_noise import TrainingNoise
from slimline.measure.variant_figures import Variant
from slimline.report import gates, limits, recall, waterfall
from slimline.report.base_commit import Base
from slimline.report.gates import Gate, GatesParams, Measured
from slimline.report.limits import Loosened
from slimline.report.recall import ClassChange
from slimline.report.waterfall import StepChange
from slimline.repository.commit_results import State
from slimline.variants import PATH, Variants


@dataclass(frozen=True)
class VariantChange:
    """One variant in two commits."""

    name: str
    before: Variant | None
    """None if the base does not have it."""
    after: Variant
    paired: Paired | None
    """None if the answers cannot be compared."""

    @property
    def is_changed(self) -> bool:
        """Whether anything but the measured time is another."""
        if self.before is None or self.before.name != self.name or self.paired is None:
            return True
        figures = ("top1", "loss", "size_kib", "size_zip_kib", "macs_m", "params", "int8_macs")
        is_moved = any(getattr(self.before, key) != getattr(self.after, key) for key in figures)
        return is_moved or self.paired.won + self.paired.lost > 0


@dataclass(frozen=True)
class ParamChange:
    """A key of `params.yaml`, or of `variants.yaml`; `None` where the key is not there."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Comparison:
    """All that a pull request's comment says."""

    base: str
    """What it is compared with, in words."""
    base_notes: Sequence[str]
    """How the base's figures are not those of what it holds, by stage; mostly none are."""
    gates: Sequence[Gate]
    loosened: Sequence[Loosened]
    """Limits that this commit would loosen; the base's hold."""
    variants: Sequence[VariantChange]
    product: VariantChange
    """What is shipped, in two commits; the base's may have another name."""
    classes: Sequence[ClassChange]
    """The largest changes first; empty if the answers cannot be compared. None is called changed
    where the product was trained anew: nobody knows the noise of that by class."""
    params: Sequence[ParamChange]
    is_trained_anew: bool
    """Whether the product comes of another training than the base's."""
    training_noise: TrainingNoise | None
    """That of two trainings, where there were two and it was measured."""
    unknown_noise: str
    """How the noise of two trainings is known one day; empty where it is, or there was one."""
    trained_elsewhere: str
    """How the circumstances of two trainings differ, in words; empty where they do not."""
    slowdown: Measured
    anew: SideBySide | None
    """Times of both products, where they were measured again."""
    waterfall: Sequence[StepChange]
    """What each stage gains and loses, in both commits; the whole chain last."""

    @property
    def is_beyond_chance(self) -> bool:
        """Whether accuracy changed by more than the images, and training anew, explain.

        By the images alone where the noise of training is unknown: then that must be said.
        """
        found, noise = self.product.paired, self.training_noise
        if found is None or not found.p_value < 2 * (1 - SURE_95):
            return False
        if noise is None:
            return True
        low, high = found.gain_bounds()
        half = found.gain - low if found.gain > 0 else high - found.gain
        return abs(found.gain) > hypot(half, noise.of_difference(SURE_95))

    @property
    def broken(self) -> list[Gate]:
        """The gates that have failed."""
        return [gate for gate in self.gates if gate.has_failed]

    @property
    def unbroken(self) -> list[Gate]:
        """The others, judged or not."""
        return [gate for gate in self.gates if not gate.has_failed]

    @property
    def changed_classes(self) -> list[ClassChange]:
        """Those whose recall changed beyond chance."""
        return [each for each in self.classes if each.is_beyond_chance]

    @property
    def changed_variants(self) -> list[VariantChange]:
        """Those of which anything but the measured time is another."""
        return [each for each in self.variants if each.is_changed]

    @property
    def unchanged_variants(self) -> list[VariantChange]:
        """The others."""
        return [each for each in self.variants if not each.is_changed]


def compare(then: State, now: State, settings: GatesParams, against: Base, base: str) -> Comparison:
    """Return what changed from one state to the other; `base` is what the former is called."""
    held = limits.hold(settings, then.params)
    return Comparison(
        base=base,
        base_notes=then.notes,
        gates=gates.judge(now.results, held.settings, against),
        loosened=held.loosened,
        variants=[_variant(name, against, now.results) for name in now.results.variants],
        product=_product(against, now.results),
        classes=_classes(against, now.results),
        params=_params(then, now),
        is_trained_anew=against.is_trained_anew,
        training_noise=against.training_noise if against.is_trained_anew else None,
        unknown_noise=gates.unknown_noise(against),
        trained_elsewhere=against.trained_elsewhere if against.is_trained_anew else "",
        slowdown=gates.slowdown(now.results, against, SURE_95),
        anew=against.anew,
        waterfall=_waterfall(against, now.results),
    )


def _variant(name: str, base: Base, now: Results) -> VariantChange:
    before = base.results.variants.get(name)
    is_comparable = base.is_same_test and before is not None
    compared = _paired(name, base, now) if is_comparable else None
    return VariantChange(name, before, now.variants[name], compared)


def _paired(name: str, base: Base, now: Results) -> Paired:
    return paired_answers.compare(base.results.predictions[name], now.predictions[name], now.labels)


def _product(base: Base, now: Results) -> VariantChange:
    compared = (
        paired_answers.compare(base.results.answers, now.answers, now.labels)
        if base.is_same_test
        else None
    )
    return VariantChange(now.product.name, base.results.product, now.product, compared)


def _classes(base: Base, now: Results) -> list[ClassChange]:
    if not base.is_same_test:
        return []
    found = recall.compare(base.results.answers, now.answers, now.labels, now.classes)
    return [
        replace(each, is_beyond_chance=each.is_beyond_chance and not base.is_trained_anew)
        for each in found
    ]


def _waterfall(base: Base, now: Results) -> list[StepChange]:
    # An older commit's labels are taken from ours; only on the same test are they its own.
    then = waterfall.waterfall(base.results, is_labelled=base.is_same_test)
    return waterfall.compare(then, waterfall.waterfall(now))


def _params(then: State, now: State) -> list[ParamChange]:
    before, after = ({**each.params, **_declared(each.variants)} for each in (then, now))
    changes = [ParamChange(key, before.get(key), after.get(key)) for key in {**after, **before}]
    return [each for each in changes if each.before != each.after]


def _declared(variants: Variants) -> dict[str, str]:
    """Return what `variants.yaml` says, by keys that cannot be those of `params.yaml`."""
    keys = ("role", "parent")
    return {
        f"{PATH}: {name}.{key}": getattr(variants[name], key) for name in variants for key in keys
    }
