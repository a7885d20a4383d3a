"""Formatting for the comment of a pull request: plain functions from typed data to Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slimline.report import number_formatting as fmt

if TYPE_CHECKING:
    from collections.abc import Callable

    from slimline.measure.block_times import Times
    from slimline.measure.paired_answers import Paired
    from slimline.measure.variant_figures import Variant
    from slimline.report.comparison import Comparison, VariantChange
    from slimline.report.gates import Gate
    from slimline.report.recall import ClassChange
    from slimline.report.waterfall import StepChange, WaterfallStep

_NONE = "\N{EN DASH}"
_UNKNOWN = "trained anew, and the noise of that is unknown"
_OF_IMAGES = f" of these images; {_UNKNOWN}"


@dataclass(frozen=True)
class FigureRow:
    """One figure of the product, ready to print."""

    name: str
    before: str
    after: str
    change: str
    is_same: bool = False


def verdict(change: Comparison) -> str:
    """The decision, in a few words."""
    count = len(change.broken)
    if count:
        names = ", ".join(gate.name for gate in change.broken)
        is_only_open = all(gate.verdict == "not proven" for gate in change.broken)
        failed = "not proven" if is_only_open else "broken"
        return f"{count} {'gate is' if count == 1 else 'gates are'} {failed}: {names}"
    return f"{_kept(change)}{_direction(change)}"


def _kept(change: Comparison) -> str:
    if not change.gates:
        return "no limit is switched on"
    num_open = sum(gate.verdict == "not judged" for gate in change.gates)
    if num_open:
        return f"every gate that can be judged is kept, {num_open} cannot"
    return "every gate is kept"


def _direction(change: Comparison) -> str:
    found = change.product.paired
    if found is None or not change.is_beyond_chance:
        return ""
    moved = "though accuracy fell" if found.gain < 0 else "and accuracy rose"
    return f", {moved} beyond chance{_OF_IMAGES if change.unknown_noise else ''}"


def verdict_mark(gate: Gate) -> str:
    """The verdict on one gate; the bad one in bold."""
    return f"**{gate.verdict}**" if gate.has_failed else gate.verdict


def product_sentence(change: Comparison) -> str:
    """What became of the product, in one line."""
    product = change.product
    if not product.is_changed:
        return f"**{product.name} is what it was**: the same answers, size and computation."
    before = _before(product)
    place = "" if before.name == product.name else f", in the place of {before.name}"
    relative = fmt.relative(before.size_kib, product.after.size_kib)
    size = f"{fmt.kib(product.after.size_kib)} ({relative})"
    return f"**{product.name}**{place}: {_accuracy(change)}; {size}."


def product_rows(change: Comparison) -> list[FigureRow]:
    """What changed of the product, most important first; top-1 in any case."""
    first, *others = _product_rows(change)
    return [first, *(row for row in others if not row.is_same)]


def unchanged_figures(change: Comparison) -> list[str]:
    """The names of the product's figures that are what they were."""
    return [row.name for row in _product_rows(change)[1:] if row.is_same]


def _product_rows(change: Comparison) -> list[FigureRow]:
    """All figures of the product; latency only if it can be compared."""
    before, after = _before(change.product), change.product.after
    return [
        _accuracy_row(change),
        _row("file", fmt.kib, before.size_kib, after.size_kib),
        _row("file, deflated", fmt.kib, before.size_zip_kib, after.size_zip_kib),
        _row("multiply-accumulates", fmt.millions, before.macs_m, after.macs_m),
        _row("parameters", fmt.count, before.params, after.params),
        _percent_row("executed in int8", before.int8_macs, after.int8_macs),
        _loss_row(before.loss, after.loss),
        *_calibration_rows(before, after),
        *_latency_rows(change, before, after),
    ]


def variant_row(each: VariantChange) -> str:
    """One variant as a row of a table."""
    before, after, found = each.before, each.after, each.paired
    cells = [
        each.name,
        fmt.percent(after.top1),
        fmt.points(after.top1 - before.top1) if before else "new",
        *((str(found.won), str(found.lost), _p(found)) if found else (_NONE,) * 3),
        fmt.kib(after.size_kib),
        fmt.relative(before.size_kib, after.size_kib) if before else _NONE,
        fmt.millions(after.macs_m),
        fmt.relative(before.macs_m, after.macs_m) if before else _NONE,
    ]
    return _table_row(cells)


def class_row(each: ClassChange) -> str:
    """One class as a row of a table."""
    found = each.paired
    name = fmt.cell(each.name)
    return _table_row(
        [
            f"**{name}**" if each.is_beyond_chance else name,
            str(found.count),
            fmt.percent(found.top1_before, 1),
            fmt.percent(found.top1_after, 1),
            str(found.won),
            str(found.lost),
        ]
    )


def step_row(each: StepChange, name: str = "") -> str:
    """What one stage gains and loses, in both commits, as a row of a table; `name` is another."""
    cells = [name or each.after.name]
    for form in (_step_top1, _step_size, _step_macs):
        cells += [form(each.before) if each.before else _NONE, form(each.after)]
    is_timed = each.before and each.is_same_machine
    cells += [_step_time(each.before) if is_timed and each.before else _NONE]
    cells += [_step_time(each.after), _step_noise(each)]
    return _table_row(cells)


def setting(value: Any) -> str:
    """A value of `params.yaml`."""
    return _NONE if value is None else fmt.cell(str(value))


def _step_top1(step: WaterfallStep) -> str:
    return fmt.points(step.top1)


def _step_size(step: WaterfallStep) -> str:
    return fmt.signed(step.size_kib, fmt.kib)


def _step_macs(step: WaterfallStep) -> str:
    return fmt.signed(step.macs_m, fmt.millions)


def _step_time(step: WaterfallStep) -> str:
    told = fmt.signed(step.p50_ms, fmt.milliseconds)
    if step.slower is None:
        return told
    value, low, high = map(fmt.change, step.slower)
    return f"{told}, {value} ({low.removesuffix(' %')} to {high.removesuffix(' %')})"


def _step_noise(each: StepChange) -> str:
    """Whether what a stage does to the time differs between the commits by more than noise."""
    if each.slower is None:
        return _NONE
    value, low, high = each.slower
    verdict = "within noise" if low <= 0 <= high else "beyond noise"
    return f"{fmt.change(value)}, {verdict}"


def _accuracy_row(change: Comparison) -> FigureRow:
    product = change.product
    before, after = fmt.percent(_before(product).top1), fmt.percent(product.after.top1)
    return FigureRow("top-1 on test", before, after, _accuracy(change))


def _accuracy(change: Comparison) -> str:
    found, noise = change.product.paired, change.training_noise
    if found is None:
        return "the test images are others or in another order: answers are not compared"
    if not found.won + found.lost:
        return "every image is answered as rightly as before"
    low, high = found.gain_bounds()
    beyond = "beyond chance" if change.is_beyond_chance else "within what chance can do"
    if change.unknown_noise:
        beyond += _OF_IMAGES if change.is_beyond_chance else f"; {_UNKNOWN}"
        beyond += f": {change.unknown_noise}"
    if noise is not None:
        beyond += f", training anew included (sd {noise.deviation:.2f} points, {noise.seeds} seeds)"
    if change.trained_elsewhere:
        beyond += f"; trained {fmt.prose(change.trained_elsewhere)}"
    return (
        f"{fmt.points(found.gain)} points ({fmt.points(low)} to {fmt.points(high)}), "
        f"{found.won} images won, {found.lost} lost, p {_p(found)}: {beyond}"
    )


def _calibration_rows(before: Variant, after: Variant) -> list[FigureRow]:
    if before.ece is None or after.ece is None:
        return []
    return [_percent_row("calibration error", before.ece, after.ece)]


def _latency_rows(change: Comparison, before: Variant, after: Variant) -> list[FigureRow]:
    slower, note = change.slowdown
    if slower is None:
        return []
    if slower.is_exact:
        return [FigureRow("time per image", _NONE, _NONE, note, is_same=True)]
    told = (
        f"{fmt.points(slower.value)} % of time per image "
        f"({fmt.number(slower.low)} to {fmt.number(slower.high)}), {fmt.prose(note)}"
    )
    if change.anew:
        # The recorded figures may be of two CPUs, and are no pair in any case.
        then, now = _middle(change.anew.before), _middle(change.anew.after)
        return [FigureRow("time per image", then, now, told)]
    return [
        FigureRow("speedup", fmt.times(before.speedup), fmt.times(after.speedup), told),
        FigureRow(
            "p50 of one image",
            fmt.milliseconds(before.p50_ms),
            fmt.milliseconds(after.p50_ms),
            "see speedup, which is measured against the baseline in the same process",
        ),
    ]


def _middle(times: Times) -> str:
    return fmt.milliseconds(float(np.median(times)))


def _row(name: str, form: Callable[[float], str], before: float, after: float) -> FigureRow:
    change = fmt.relative(before, after)
    return FigureRow(name, form(before), form(after), change, is_same=before == after)


def _percent_row(name: str, before: float, after: float) -> FigureRow:
    change = f"{fmt.points(after - before)} points"
    told = fmt.percent(before), fmt.percent(after)
    return FigureRow(name, *told, change, is_same=before == after)


def _loss_row(before: float, after: float) -> FigureRow:
    sign = "+" if after > before else "\N{MINUS SIGN}"
    change = f"{sign}{abs(after - before):.4f}"
    return FigureRow("loss", f"{before:.4f}", f"{after:.4f}", change, is_same=before == after)


def _before(product: VariantChange) -> Variant:
    assert product.before is not None, "a base without a product cannot be compared with"
    return product.before


def _p(found: Paired) -> str:
    return "< 0.001" if found.p_value < 0.001 else f"{found.p_value:.3f}"


def _table_row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
