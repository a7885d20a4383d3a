"""Formatting of whole rows of the report: plain functions from typed data to cells of text."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from slimline.report import number_formatting as fmt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from slimline.measure.device_figures import Device
    from slimline.measure.newly_wrong import NewlyWrong
    from slimline.measure.other_runtimes import OtherRuntime
    from slimline.measure.paired_answers import Paired
    from slimline.measure.results import BenchmarkRun
    from slimline.measure.variant_figures import Variant
    from slimline.pruning.record import LayerChange, Round
    from slimline.quantization.mixed_record import LayerChoice
    from slimline.report.content import Report
    from slimline.report.drawings import Drawing
    from slimline.report.gates import Gate
    from slimline.report.recall import ClassChange
    from slimline.report.waterfall import WaterfallStep

_NONE = "\N{EN DASH}"
_ARROW = "\N{RIGHTWARDS ARROW}"


@dataclass(frozen=True)
class CardRow:
    """One figure of the model card, ready to print."""

    name: str
    after: str
    before: str


def burden_sentence(gates: Sequence[Gate]) -> str:
    """How noise counts in the verdicts."""
    if any(gate.burden == "prove" for gate in gates):
        return "A gate is kept only if every value between them keeps the limit."
    return "A gate breaks only if no value between them keeps the limit."


def variant_cells(each: Variant) -> list[str]:
    """The figures of a variant, in the order of the table's columns."""
    return [
        fmt.percent(each.top1),
        fmt.margin(each.top1_margin),
        calibration(each),
        fmt.kib(each.size_kib),
        fmt.kib(each.size_zip_kib),
        fmt.count(each.params),
        fmt.percent(each.sparsity, 1),
        fmt.millions(each.macs_m),
        fmt.percent(each.int8_macs, 1),
        fmt.milliseconds(each.p50_ms),
        fmt.per_second(each.images_per_s),
        memory(each),
        fmt.times(each.speedup),
    ]


def device_cells(each: Device) -> list[str]:
    """The product in another runtime, in the order of the table's columns."""
    return [
        fmt.percent(each.top1),
        fmt.margin((each.top1_high - each.top1_low) / 2),
        fmt.points(each.top1_difference),
        fmt.percent(each.agreement),
        fmt.percent(each.parity),
        fmt.percent(each.logit_difference),
        fmt.kib(each.size_kib),
        fmt.kib(each.size_zip_kib),
        fmt.percent(each.int8_macs, 1),
        ", ".join(each.not_delegated) or "nothing",
        ", ".join(each.float_layers) or "none",
    ]


def runtime_cells(each: OtherRuntime) -> list[str]:
    """A file in another runtime, in the order of the table's columns."""
    faster = each.runtime if each.is_faster else "onnxruntime" if each.is_slower else "neither"
    return [
        each.runtime,
        fmt.milliseconds(each.p50_ms),
        fmt.times(each.times_as_fast),
        f"{each.low:.2f} to {each.high:.2f}",
        fmt.percent(each.agreement),
        faster,
    ]


def level_cells(each: Variant) -> list[str]:
    """Where the way begins or ends, in the columns of `step_cells`."""
    return [
        fmt.percent(each.top1),
        "",
        "",
        fmt.kib(each.size_kib),
        "",
        fmt.millions(each.macs_m),
        "",
        fmt.milliseconds(each.p50_ms),
        "",
        "",
    ]


def step_cells(step: WaterfallStep) -> list[str]:
    """What a stage gains and loses: points, images won and lost, KiB, MACs, ms; all in percent."""
    before, after, found = step.before, step.after, step.paired
    counts = f"{found.won} won, {found.lost} lost" if found else _NONE
    return [
        fmt.points(step.top1),
        _bounds(*found.gain_bounds()) if found else _NONE,
        counts,
        fmt.signed(step.size_kib, fmt.kib),
        _share(before.size_kib, after.size_kib),
        fmt.signed(step.macs_m, fmt.millions),
        _share(before.macs_m, after.macs_m),
        fmt.signed(step.p50_ms, fmt.milliseconds),
        fmt.change(step.time_change),
        _time_bounds(step),
    ]


def round_cells(each: Round) -> list[str]:
    """What a round of pruning did."""
    return [
        str(each.number),
        fmt.count(each.params),
        fmt.millions(each.macs_m),
        fmt.percent(each.sparsity, 1),
        fmt.percent(each.top1_cut),
        fmt.percent(each.top1_recovered),
    ]


def layer_cells(each: LayerChange) -> list[str]:
    """What pruning left of a layer."""
    return [
        f"{each.channels_before} {_ARROW} {each.channels_after}",
        f"{fmt.count(each.params_before)} {_ARROW} {fmt.count(each.params_after)}",
        f"{fmt.count(each.macs_before)} {_ARROW} {fmt.count(each.macs_after)}",
        fmt.percent(each.macs_share, 1),
        fmt.percent(each.sparsity, 1),
    ]


def int8_layer_cells(each: LayerChoice) -> list[str]:
    """What int8 costs and gains in a layer."""
    points = [None if each.lost is None else -each.lost, each.regained]
    return [
        f"float: {each.reason}" if each.is_float else "int8",
        *(_NONE if value is None else fmt.points(value) for value in points),
        *(
            _NONE if value is None else fmt.microseconds(value)
            for value in (each.float_us, each.int8_us)
        ),
    ]


def int8_layers_sentence(layers: Sequence[LayerChoice]) -> str:
    """How many layers run in float, in one line."""
    count = sum(each.is_float for each in layers)
    if not count:
        return f"All {len(layers)} layers run in int8."
    if count == 1:
        return f"One of {len(layers)} layers runs in float."
    return f"{count} of {len(layers)} layers run in float."


_NOT_TESTED = "not tested"


def recall_cells(each: ClassChange) -> list[str]:
    """How well a class is recognised, before and after; of one without test images, no figure."""
    found = each.paired
    if not found.count:
        return ["0", _NOT_TESTED, _NOT_TESTED, "", "", ""]
    return [
        str(found.count),
        fmt.percent(found.top1_before, 1),
        fmt.percent(found.top1_after, 1),
        fmt.points(found.gain),
        str(found.won),
        str(found.lost),
    ]


def recall_sentence(changed: Sequence[ClassChange]) -> str:
    """How many classes changed, in one line."""
    if not changed:
        return "No class changed beyond what chance can do."
    if len(changed) == 1:
        return "One class changed beyond chance."
    return f"{len(changed)} classes changed beyond chance."


def mistake_sentence(each: NewlyWrong, classes: Sequence[str]) -> str:
    """What an image is, and what it is taken for."""
    label, after = fmt.plain(classes[each.label]), fmt.plain(classes[each.after])
    return f"test image {each.row}: {label}, answered {after}"


def certainty(each: NewlyWrong) -> str:
    """How sure the model is of its mistake."""
    return fmt.percent(each.certainty, 0)


def card_rows(report: Report) -> list[CardRow]:
    """The figures of the model card, product and baseline."""
    after, before = report.product, report.baseline
    low, high = report.speedup_bounds
    faster = f"{fmt.times(after.speedup)} ({fmt.number(low)} to {fmt.number(high)})"
    return [
        CardRow("top-1 on test", _top1(after), _top1(before)),
        _card_row("mean recall", lambda each: _percent(each.mean_recall), after, before),
        _card_row("calibration error", calibration, after, before),
        _card_row("file", lambda each: fmt.kib(each.size_kib), after, before),
        _card_row("parameters", lambda each: fmt.count(each.params), after, before),
        _card_row("multiply-accumulates", lambda each: fmt.millions(each.macs_m), after, before),
        _card_row("executed in int8", lambda each: fmt.percent(each.int8_macs), after, before),
        _card_row("time per image", lambda each: fmt.milliseconds(each.p50_ms), after, before),
        CardRow("faster", faster, fmt.times(before.speedup)),
        _card_row("peak memory (of it Python and the runtime)", memory, after, before),
    ]


def memory(each: Variant) -> str:
    """Peak memory, and in brackets what of it is Python with the runtime, where that is known."""
    peak = fmt.mib(each.peak_rss_mib)
    return peak if each.base_rss_mib is None else f"{peak} ({each.base_rss_mib:,.0f})"


def calibration(each: Variant) -> str:
    """The calibration error; a dash where it was not measured."""
    return _percent(each.ece)


def _percent(value: float | None) -> str:
    return _NONE if value is None else fmt.percent(value)


def mean_recall_sentence(report: Report) -> str:
    """How well classes are recognised if each counts alike; nothing where it was not measured."""
    after, before = report.product, report.baseline
    if after.mean_recall is None or after.least_recall is None:
        return ""
    return (
        f"Mean recall, each class counting alike, is {_percent(after.mean_recall)} "
        f"({_percent(before.mean_recall)} of the baseline), the least of a class "
        f"{_percent(after.least_recall)} ({_percent(before.least_recall)})."
    )


def gain_sentence(found: Paired) -> str:
    """What the product wins and loses, in one sentence."""
    low, high = found.gain_bounds()
    return (
        f"{fmt.points(found.gain)} points of top-1 ({_bounds(low, high)}), "
        f"{found.won} images won and {found.lost} lost."
    )


def run_sentence(run: BenchmarkRun) -> str:
    """How sure the times are, and what else the machine did."""
    known = (
        "too few to bound a speedup"
        if run.noise is None
        else f"every speedup is known within ±{run.noise:.1f} %"
    )
    others = (
        ""
        if run.others_cpu is None
        else f", other processes used {fmt.percent(run.others_cpu, 0)} of the CPUs"
    )
    load = f"load {run.load_before:.2f} before and {run.load_after:.2f} after"
    return f"{run.blocks} turns of each: {known}. The machine: {load}{others}."


def top1_value(each: Variant) -> str:
    """Top-1 as a number for a machine."""
    return f"{each.top1:.2f}"


def quoted(value: str) -> str:
    """A string in YAML, whatever is in it: a JSON string is one."""
    return json.dumps(value)


def picture(each: Drawing) -> Markup:
    """A drawing as part of a page: what it shows stands in its own first element."""
    head, rest = each.svg.split(">", 1)
    title = Markup("<title>{}</title>").format(each.text)
    # Drawn from numbers and the names of our own stages alone.
    return Markup(f'{head} role="img">') + title + Markup(rest)  # noqa: S704


def _share(before: float, after: float) -> str:
    return fmt.change(100 * (after / before - 1)) if before else _NONE


def _time_bounds(step: WaterfallStep) -> str:
    if step.slower is None:
        return _NONE
    _, low, high = step.slower
    return f"{fmt.change(low).removesuffix(' %')} to {fmt.change(high)}"


def _bounds(low: float, high: float) -> str:
    return f"{fmt.points(low)} to {fmt.points(high)}"


def _top1(each: Variant) -> str:
    return f"{fmt.percent(each.top1)} ({fmt.percents(each.top1_low, each.top1_high)})"


def _card_row(
    name: str, form: Callable[[Variant], str], after: Variant, before: Variant
) -> CardRow:
    return CardRow(name, form(after), form(before))
