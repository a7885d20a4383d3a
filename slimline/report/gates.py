"""Limits that the product must keep, as data in section `gates`, and the judgement on them.

Noise lies on one side or the other, and `gates.burden` says on which: with `refute` a gate of
accuracy or latency breaks only where its limit is exceeded beyond noise, with `prove` it is kept
only where the limit is kept beyond noise (non-inferiority). Either at the confidence that
`gates.confidence` sets. Sizes, memory and what runs in int8 are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import hypot, inf, isnan, sqrt
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, PlainValidator

from slimline.files import DIGITS
from slimline.measure import accuracy, block_times, machine, paired_answers, significance
from slimline.measure.results import Results
from slimline.params import Params
from slimline.report.base_commit import Base

OFF = "none"

_ONCE_MERGED = "what this branch has measured holds once it is merged"
_MEASURE_IT = "`python -m slimline seeds --write` measures it"


def up_to(highest: float) -> PlainValidator:
    """Return the check of a limit from 0 to `highest`; the word that switches it off gives None."""
    allowed = f"from 0 to {highest:g}" if highest < inf else "of at least 0"

    def check(given: Any) -> float | None:
        if given == OFF:
            return None
        is_number = isinstance(given, int | float) and not isinstance(given, bool)
        if not is_number or not 0 <= given <= highest or given == inf:
            raise ValueError(f"must be a number {allowed}, or {OFF} for no limit")
        return float(given)

    bounds = Field(ge=0, le=highest) if highest < inf else Field(ge=0)
    return PlainValidator(check, json_schema_input_type=Annotated[float, bounds] | Literal["none"])


_Percent: TypeAlias = Annotated[float | None, up_to(100)]
_Limit: TypeAlias = Annotated[float | None, up_to(inf)]


Burden: TypeAlias = Literal["refute", "prove"]


class GatesParams(Params):
    """Section `gates`: limits of the product; `none` switches any of them off."""

    burden: Burden
    """What noise speaks for: `refute` keeps a gate until worse is proven; `prove` fails it until
    good enough is proven."""

    confidence: Annotated[float, Field(ge=50, lt=100)]
    """Percent: how sure accuracy or latency must be on the wrong side of a limit to break a gate,
    or on the right side where `burden` is `prove`."""

    min_top1: _Percent
    """Percent of the test images that are answered right, at least."""

    min_mean_recall: _Percent
    """Percent of each class's test images that are answered right, on average over classes, at
    least: rare classes count as much as others."""

    max_size_kib: _Limit
    """Size of the .onnx file, KiB, at most."""

    max_p50_ms: _Limit
    """Median time of one image on one thread, ms, at most."""

    max_peak_rss_mib: _Limit
    """Peak memory of a process that answers one image, MiB, at most."""

    min_int8_macs: _Percent
    """Percent of the multiply-accumulates that ONNX Runtime executes in int8, at least."""

    max_top1_drop: _Percent
    """Percentage points of test accuracy below the baseline, at most."""

    max_recall_drop: _Percent
    """Percentage points of any class's recall on test below the baseline, at most."""

    min_size_ratio: _Limit
    """Times smaller than the baseline's file, at least."""

    min_speedup: _Limit
    """Times faster than the baseline, at least."""

    max_top1_loss: _Percent
    """Percentage points of test accuracy below the base branch, at most."""

    max_size_growth: _Limit
    """Percent larger than the base branch's file, at most."""

    max_slowdown: _Limit
    """Percent more time per image than on the base branch, at most."""

    @property
    def sure(self) -> float:
        """`confidence` as the share that `slimline.measure.significance` works with."""
        return self.confidence / 100

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are switched on, by key."""
        given = self.model_dump(exclude={"burden", "confidence"})
        return {key: limit for key, limit in given.items() if limit is not None}


@dataclass(frozen=True)
class Figure:
    """A figure, and the bounds that it keeps to, each as surely as the settings ask."""

    value: float
    low: float
    high: float
    sampled: Sampled | None = None
    """The test images that it was measured on, where it is an accuracy."""
    is_open: bool = False
    """Whether it has noise that the bounds do not know, so that a limit is never proven kept."""

    @property
    def is_exact(self) -> bool:
        """Whether it has no noise."""
        return self.low == self.value == self.high

    @property
    def is_number(self) -> bool:
        """Whether figure and bounds are numbers: a training that diverged leaves NaN."""
        return not any(map(isnan, (self.value, self.low, self.high)))


@dataclass(frozen=True)
class Sampled:
    """How well a test set of some size tells accuracies apart."""

    count: int
    variance: float
    """Of what one image adds to the figure, as a share; see `paired.Paired.variance`."""
    sure: float
    of: str = ""
    """The class whose images they are, where each is judged by itself."""
    hidden: float = 0.0
    """The loss, points, that no number of images shows: the noise of training anew hides it."""

    @property
    def smallest(self) -> float:
        """The smallest loss that this test set shows in 8 of 10 cases, points."""
        shown = 100 * significance.detectable(self.variance, self.count, self.sure)
        return hypot(shown, self.hidden)

    def needed(self, points: float) -> int | None:
        """Return how many test images would show a loss of so many points, None where none do."""
        if points <= self.hidden:
            return None
        left = sqrt(points**2 - self.hidden**2) / 100
        return significance.images_needed(self.variance, left, self.sure)


Verdict: TypeAlias = Literal["kept", "within noise", "not proven", "broken", "not judged"]


@dataclass(frozen=True)
class Gate:
    """One limit, and where the product stands."""

    key: str
    """In section `gates` of `params.yaml`."""
    name: str
    """What is limited, as a person would say it."""
    unit: str
    limit: float
    figure: Figure | None
    """None where it cannot be judged."""
    note: str
    """Why it cannot be judged, or what the figure holds."""
    burden: Burden = "refute"

    @property
    def is_ceiling(self) -> bool:
        """Whether the limit is the most that is allowed, else it is the least."""
        return self.key.startswith("max_")

    @property
    def verdict(self) -> Verdict:
        """Where the figure and its bounds lie, by who bears the burden of proof; NaN is broken."""
        if self.figure is None:
            return "not judged"
        if not self.figure.is_number:
            return "broken"
        low, high = self.figure.low, self.figure.high
        best, worst = (low, high) if self.is_ceiling else (high, low)
        if not self._allows(best):
            return "broken"
        if self.burden == "prove":
            is_proven = self._allows(worst) and not self.figure.is_open
            return "kept" if is_proven else "not proven"
        return "kept" if self._allows(self.figure.value) else "within noise"

    @property
    def has_failed(self) -> bool:
        """Whether it must not be merged so."""
        return self.verdict in ("broken", "not proven")

    def _allows(self, value: float) -> bool:
        return value <= self.limit if self.is_ceiling else value >= self.limit


def judge(now: Results, settings: GatesParams, base: Base | None = None) -> list[Gate]:
    """Return every gate that is switched on; those against the base branch only if there is one."""
    sure, limits = settings.sure, settings.limits
    judged: list[tuple[_Rule | _RuleAgainstBase, Measured]] = [
        (rule, rule.measure(now, sure)) for rule in _RULES if rule.key in limits
    ]
    if base is not None:
        judged += [
            (rule, rule.measure(now, base, sure))
            for rule in _RULES_AGAINST_BASE
            if rule.key in limits
        ]
    return [_gate(rule, limits[rule.key], measured, settings.burden) for rule, measured in judged]


def are_kept(gates: Sequence[Gate], *, is_strict: bool = False) -> bool:
    """Return whether none has failed; if strict, some must be there and none left unjudged."""
    if is_strict and not gates:
        return False
    return not any(
        gate.has_failed or (is_strict and gate.verdict == "not judged") for gate in gates
    )


Measured: TypeAlias = "tuple[Figure | None, str]"
"""The figure, None where there is none to compare; and what must be said about it."""


def _gate(rule: _Rule | _RuleAgainstBase, limit: float, measured: Measured, burden: Burden) -> Gate:
    figure, note = measured
    if figure is not None:
        # Else 1050 KiB would be 5.000000000000004 % more than 1000 KiB, and break a limit of 5.
        figure = replace(
            figure,
            value=round(figure.value, DIGITS),
            low=round(figure.low, DIGITS),
            high=round(figure.high, DIGITS),
        )
        is_floor = rule.key.startswith("min_")
        shown = _power(figure.sampled, figure.value - limit if is_floor else limit)
        note = "; ".join(each for each in (note, shown) if each)
    return Gate(rule.key, rule.name, rule.unit, limit, figure, note, burden)


def _power(sampled: Sampled | None, allowed: float) -> str:
    """Say which loss the test images show; how many would show what is allowed, if these do not."""
    if sampled is None:
        return ""
    of = f" of {sampled.of}" if sampled.of else ""
    images = f"{sampled.count:,} test image{'' if sampled.count == 1 else 's'}{of}"
    told = f"{images} {'shows' if sampled.count == 1 else 'show'} a loss "
    told += f"from {sampled.smallest:.2f} points on" if sampled.smallest < 100 else "of no size"
    if 0 < allowed < sampled.smallest:
        needed = sampled.needed(allowed)
        told += f", one of {allowed:g} " + (
            f"no number of images: training anew alone hides {sampled.hidden:.2f}"
            if needed is None
            else f"would take {needed:,}"
        )
    return told


def _exact(value: float) -> Figure:
    return Figure(value, value, value)


def _top1(now: Results, sure: float) -> Measured:
    right = now.is_right(now.product.name)
    count, share = len(right), float(right.mean())
    low, high = significance.clopper_pearson(int(right.sum()), count, sure)
    sampled = Sampled(count, share * (1 - share), sure)
    return Figure(100 * share, 100 * low, 100 * high, sampled), ""


def _mean_recall(now: Results, sure: float) -> Measured:
    found = accuracy.count_by_class(now.is_right(now.product.name), now.labels)
    fewest = min(count for _, count in found)
    told = f"{len(found)} classes of {fewest} test images or more{_untested(now, len(found))}"
    return mean_recall(found, len(now.classes), sure), told


def mean_recall(by_class: Sequence[tuple[int, int]], num_classes: int, sure: float) -> Figure:
    """Return the mean recall, by images answered right, and images, of each class with images.

    Of a class without any nothing is known: the bounds allow it everything.
    """
    low, high = accuracy.mean_recall_bounds(by_class, sure)
    mean = 100 * sum(right / count for right, count in by_class) / len(by_class)
    tested = len(by_class) / num_classes
    sampled = _sampled_recall(by_class, sure)
    return Figure(mean, tested * low, tested * high + 100 * (1 - tested), sampled)


def _sampled_recall(by_class: Sequence[tuple[int, int]], sure: float) -> Sampled:
    """Return what the images of all classes tell of their mean recall.

    One image of a rare class moves it more than one of the others. With one right and one wrong
    more than was seen, so that a rare class that is all right is not taken for certain.
    """
    shares = [((right + 1) / (count + 2), count) for right, count in by_class]
    spread = sum(share * (1 - share) / count for share, count in shares) / len(shares) ** 2
    images = sum(count for _, count in by_class)
    return Sampled(images, images * spread, sure)


def _recall_drop(now: Results, sure: float) -> Measured:
    before = now.predictions[now.baseline.name]
    classes = paired_answers.by_class(before, now.answers, now.labels, len(now.classes))
    figure = recall_drop(classes, sure)
    tested = [index for index, each in enumerate(classes) if each.count]
    worst = min(tested, key=lambda index: classes[index].gain)
    counts = classes[worst]
    told = (
        f"{now.classes[worst]}: {counts.won} images won, {counts.lost} lost of {counts.count}"
        f"{_untested(now, len(tested))}"
    )
    sampled = [
        Sampled(each.count, each.variance, sure, of=name)
        for name, each in zip(now.classes, classes, strict=True)
        if each.count
    ]
    return replace(figure, sampled=max(sampled, key=lambda each: each.smallest)), told


def recall_drop(classes: Sequence[paired_answers.Paired], sure: float) -> Figure:
    """Return the most that any class lost.

    That one of many classes lost so much is shown beyond chance only if it is at the level of one
    test of so many (Bonferroni). That none lost more needs no such correction: each class has to
    show it (the intersection-union test; Berger, Technometrics 24, 1982, 295-300), and one without
    test images cannot.
    """
    number = sum(each.count > 0 for each in classes)
    low = max(_lost(each, 1 - (1 - sure) / number).low for each in classes)
    high = max(_lost(each, sure).high for each in classes)
    return Figure(max(0 - each.gain for each in classes if each.count), low, high)


def _untested(now: Results, num_tested: int) -> str:
    count = len(now.classes) - num_tested
    return f"; {count} without any are not tested" if count else ""


def _size(now: Results, _: float) -> Measured:
    return _exact(now.product.size_kib), ""


def _p50(now: Results, sure: float) -> Measured:
    low, high = block_times.time_bounds(now.blocks[now.product.name], sure)
    return Figure(now.product.p50_ms, _not_negative(low), high), _timed_on(now)


def _peak_rss(now: Results, _: float) -> Measured:
    return _exact(now.product.peak_rss_mib), f"on {_machine(now)}"


def _int8_macs(now: Results, _: float) -> Measured:
    return _exact(now.product.int8_macs), ""


def _top1_drop(now: Results, sure: float) -> Measured:
    return _lost(now.paired(now.baseline.name, now.product.name), sure), ""


def _size_ratio(now: Results, _: float) -> Measured:
    return _exact(now.baseline.size_kib / now.product.size_kib), ""


def _speedup(now: Results, sure: float) -> Measured:
    reference, times = now.blocks[now.baseline.name], now.blocks[now.product.name]
    low, high = block_times.speedup_bounds(reference, times, sure)
    return Figure(now.product.speedup, _not_negative(low), high), _timed_on(now)


def _top1_loss(now: Results, base: Base, sure: float) -> Measured:
    if not base.is_same_test:
        return None, "the test images are others or in another order: answers cannot be compared"
    compared = paired_answers.compare(base.results.answers, now.answers, now.labels)
    told = f"{compared.won} images won, {compared.lost} lost"
    figure = _lost(compared, sure)
    if not base.is_trained_anew:
        return figure, told
    told += f"; trained anew{f' {base.trained_elsewhere}' if base.trained_elsewhere else ''}"
    if base.training_noise is None:
        told += f", and the noise of that is unknown: {unknown_noise(base)}"
        # Of what images show nothing can be said while training anew may hide any loss.
        return replace(figure, is_open=True, sampled=None), told
    noise = base.training_noise
    extra = noise.of_difference(sure)
    low = figure.value - hypot(figure.value - figure.low, extra)
    high = figure.value + hypot(figure.high - figure.value, extra)
    told += f", with the noise of that, {noise.deviation:.2f} points over {noise.seeds} seeds"
    if not base.is_noise_of_this:
        told += " of other settings"
    if base.is_noise_changed:
        told += f" ({_ONCE_MERGED})"
    assert figure.sampled is not None
    sampled = replace(figure.sampled, hidden=noise.hidden(sure))
    return replace(figure, low=low, high=high, sampled=sampled), told


def unknown_noise(base: Base) -> str:
    """Return how the noise of training anew is known one day; nothing where it is, or is none."""
    if not base.is_trained_anew or base.training_noise is not None:
        return ""
    return _ONCE_MERGED if base.is_noise_changed else _MEASURE_IT


def _size_growth(now: Results, base: Base, _: float) -> Measured:
    return _exact(100 * (now.product.size_kib / base.results.product.size_kib - 1)), ""


def slowdown(now: Results, base: Base, sure: float) -> Measured:
    """Return percent more time per image than on the base branch, or why it is not compared.

    Both models timed in turns are what to trust; two separate runs are asked only where there is no
    such pair, and never those of two CPUs.
    """
    if base.is_same_product:
        return _exact(0.0), "the model is the same file"
    if base.anew:
        timed = block_times.slowdown_in_turns(base.anew.before, base.anew.after, sure)
        noisy = ", which was noisy" if base.anew.is_noisy else ""
        told = f"both models measured anew, in turns, on {base.anew.machine}{noisy}"
        return Figure(*timed), told
    figure, note = _recorded_slowdown(now, base, sure)
    return figure, f"{note}; not measured anew: {base.not_anew}" if base.not_anew else note


def _recorded_slowdown(now: Results, base: Base, sure: float) -> Measured:
    """Compare the speedups that both commits have recorded."""
    here, there = now.product.machine, base.results.product.machine
    if here != there:
        return None, (
            f"the latency here is of {_machine(now)}, that of the base is of "
            f"{_machine(base.results)}: figures of different CPUs are not compared"
        )
    if not base.results.blocks:
        return None, "the base was measured before the times of blocks were kept"
    if not base.is_same_baseline:
        return None, "the baseline model is another, so speedups against it cannot be compared"
    before, after = (
        (each.blocks[each.baseline.name], each.blocks[each.product.name])
        for each in (base.results, now)
    )
    note = f"by the speedups of two separate runs {_timed_on(now)}"
    return Figure(*block_times.slowdown(before, after, sure)), note


def _lost(compared: paired_answers.Paired, sure: float) -> Figure:
    low, high = compared.gain_bounds(sure, is_cautious=True)
    # Adding 0 makes no difference of 0 a plain zero, not a negative one.
    sampled = Sampled(compared.count, compared.variance, sure)
    return Figure(0 - compared.gain, -high, -low, sampled)


def _not_negative(low: float) -> float:
    """Return the bound of a time, 0 at least; NaN stays NaN, so that a gate is broken by it."""
    return max(low, 0.0)  # the other way round Python takes the 0


def _timed_on(results: Results) -> str:
    is_noisy = results.run is not None and results.run.is_noisy
    return f"on {_machine(results)}{', which was noisy' if is_noisy else ''}"


def _machine(results: Results) -> str:
    return machine.name(*results.product.machine)


@dataclass(frozen=True)
class _Rule:
    key: str
    name: str
    unit: str
    measure: Callable[[Results, float], Measured]


@dataclass(frozen=True)
class _RuleAgainstBase:
    key: str
    name: str
    unit: str
    measure: Callable[[Results, Base, float], Measured]


_RULES = (
    _Rule("min_top1", "accuracy", "%", _top1),
    _Rule("min_mean_recall", "mean recall of the classes", "%", _mean_recall),
    _Rule("max_size_kib", "size of the file", "KiB", _size),
    _Rule("max_p50_ms", "time per image", "ms", _p50),
    _Rule("max_peak_rss_mib", "peak memory", "MiB", _peak_rss),
    _Rule("min_int8_macs", "multiply-accumulates in int8", "%", _int8_macs),
    _Rule("max_top1_drop", "accuracy lost against the baseline", "points", _top1_drop),
    _Rule(
        "max_recall_drop", "recall that a class lost against the baseline", "points", _recall_drop
    ),
    _Rule("min_size_ratio", "smaller than the baseline", "times", _size_ratio),
    _Rule("min_speedup", "faster than the baseline", "times", _speedup),
)
_RULES_AGAINST_BASE = (
    _RuleAgainstBase("max_top1_loss", "accuracy lost against the base", "points", _top1_loss),
    _RuleAgainstBase("max_size_growth", "larger than the base", "%", _size_growth),
    _RuleAgainstBase("max_slowdown", "slower than the base", "%", slowdown),
)
