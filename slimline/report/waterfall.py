"""The way from the baseline to the product: what each stage of the chain gains and loses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from slimline.measure import block_times, paired_answers
from slimline.measure.block_times import Times
from slimline.measure.paired_answers import Paired
from slimline.measure.results import Results
from slimline.measure.significance import SURE_95
from slimline.measure.variant_figures import Variant

_PRUNED = "prune"


@dataclass(frozen=True)
class WaterfallStep:
    """What one stage, or the chain as a whole, changed; negative is less than before."""

    name: str
    before: Variant
    after: Variant
    paired: Paired | None
    """The same test images through both; None if the labels are not those of the answers."""
    times: tuple[Times, Times] | None
    """Both models' times in the same blocks; None where a commit did not keep them."""

    @property
    def top1(self) -> float:
        """Percentage points of test accuracy."""
        return self.after.top1 - self.before.top1

    @property
    def size_kib(self) -> float:
        """KiB of the file."""
        return self.after.size_kib - self.before.size_kib

    @property
    def macs_m(self) -> float:
        """Millions of multiply-accumulates."""
        return self.after.macs_m - self.before.macs_m

    @property
    def p50_ms(self) -> float:
        """Milliseconds of the median time of one image."""
        return self.after.p50_ms - self.before.p50_ms

    @property
    def slower(self) -> tuple[float, float, float] | None:
        """Percent more time per image, block by block, with the bounds of its 95 % interval."""
        return block_times.slowdown_in_turns(*self.times, SURE_95) if self.times else None

    @property
    def time_change(self) -> float:
        """Percent of time per image: what `slower` says, else of the medians."""
        if self.slower is not None:
            return self.slower[0]
        return 100 * (self.after.p50_ms / self.before.p50_ms - 1)


@dataclass(frozen=True)
class Waterfall:
    """The steps in order; each figure's steps add up to that of `total`."""

    steps: Sequence[WaterfallStep]
    total: WaterfallStep
    control: tuple[WaterfallStep, WaterfallStep] | None = None
    """Of the step to `prune` what its recovery gains with nothing cut, and then what the cut does;
    None where the control was not asked for."""


@dataclass(frozen=True)
class StepChange:
    """One step in two commits."""

    before: WaterfallStep | None
    """None if the base has not both variants of it."""
    after: WaterfallStep
    is_same_machine: bool
    """Whether the times may be put side by side."""

    @property
    def slower(self) -> tuple[float, float, float] | None:
        """Percent that the step takes of time now more than then, with its 95 % interval.

        By two separate runs, each of which has its own blocks; None where they cannot be compared.
        """
        if self.before is None or not self.is_same_machine:
            return None
        then, now = self.before.times, self.after.times
        return block_times.slowdown(then, now, SURE_95) if then and now else None


def waterfall(found: Results, *, is_labelled: bool = True) -> Waterfall:
    """Return the steps; without labels that belong to the answers, with nothing paired."""
    chain = [each.name for each in found.chain]
    steps = [_step(found, *pair, is_labelled=is_labelled) for pair in pairwise(chain)]
    total = _step(found, chain[0], chain[-1], is_labelled=is_labelled)
    pruned = next((each for each in steps if each.name == _PRUNED), None)
    is_split = pruned is not None and found.control is not None and is_labelled
    return Waterfall(steps, total, _control(found, pruned) if pruned and is_split else None)


def compare(then: Waterfall, now: Waterfall) -> list[StepChange]:
    """Return every step of now beside that of the same stages then, the total last."""
    known = {(each.before.name, each.after.name): each for each in [*then.steps, then.total]}
    return [
        _change(known.get((each.before.name, each.after.name)), each)
        for each in [*now.steps, now.total]
    ]


def _control(found: Results, pruned: WaterfallStep) -> tuple[WaterfallStep, WaterfallStep]:
    """Return a step in two halves; with nothing cut the network is what it was but for weights."""
    assert found.control is not None
    labels = found.labels
    first = paired_answers.compare(found.predictions[pruned.before.name], found.control, labels)
    second = paired_answers.compare(found.control, found.predictions[pruned.after.name], labels)
    between = replace(pruned.before, name="control", top1=first.top1_after)
    same = (pruned.times[0], pruned.times[0]) if pruned.times else None
    return (
        WaterfallStep("of it more training", pruned.before, between, first, same),
        WaterfallStep("of it the cut", between, pruned.after, second, pruned.times),
    )


def _step(found: Results, before: str, after: str, *, is_labelled: bool) -> WaterfallStep:
    compared = found.paired(before, after) if is_labelled else None
    times = found.blocks
    pair = (times[before], times[after]) if {before, after} <= set(times) else None
    return WaterfallStep(after, found.variants[before], found.variants[after], compared, pair)


def _change(then: WaterfallStep | None, now: WaterfallStep) -> StepChange:
    is_same = then is not None and then.after.machine == now.after.machine
    return StepChange(then, now, is_same)
