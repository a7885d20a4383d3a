"""The drawings of the HTML report: typed data in, SVG out that stands inline in a page.

Only the report stage draws; matplotlib is imported here alone, and only when something is drawn.
What it writes is made fit for a page: colours are variables of the style sheet (light, dark,
print), text is text in the reader's own font, sizes are the reader's. The same data give the same
bytes: no date, no random identifier, no setting of the user's or the machine's.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise
from math import isinf
from typing import TYPE_CHECKING, Any, TypeAlias

from slimline.measure import block_times
from slimline.measure.significance import SURE_95
from slimline.report import number_formatting as fmt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from slimline.measure.variant_figures import Variant
    from slimline.report.content import Report
    from slimline.report.curves import LearningCurve
    from slimline.report.waterfall import Waterfall, WaterfallStep

_KEY_CHARACTERS = 18
"""Of a line beside bars, as many as its margin has room for."""

_INK, _SOFT, _LINE, _PAPER = "#010201", "#010202", "#010203", "#010204"
_MARK, _BAD, _THIRD, _FOURTH = "#010205", "#010206", "#010207", "#010208"
_VARIABLES = {
    _INK: "var(--ink)",
    _SOFT: "var(--soft)",
    _LINE: "var(--line)",
    _PAPER: "var(--paper)",
    _MARK: "var(--mark)",
    _BAD: "var(--bad)",
    _THIRD: "var(--third)",
    _FOURTH: "var(--fourth)",
}
"""Colours that no drawing has otherwise, and the variables of the style sheet they stand for."""

_WIDTH, _HEIGHT = 4.6, 3.0
"""Inches of 72 units: as wide as a phone, so that 10 units of text are 10 pixels there."""

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "slimline",
    "font.size": 10,
    "text.color": _INK,
    "axes.edgecolor": _SOFT,
    "axes.labelcolor": _SOFT,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "grid.color": _LINE,
    "grid.linewidth": 0.7,
    "xtick.color": _SOFT,
    "xtick.labelsize": 9,
    "ytick.color": _SOFT,
    "legend.frameon": False,
    "legend.labelcolor": _INK,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.4,
    "lines.linewidth": 1.6,
    "lines.markersize": 6,
}

_Bounds: TypeAlias = tuple[float, float] | None
"""Of the level that a step leads to; None where it is exact or has no interval."""

_SHAPES = "osD^vP"
_MOST_TICKS = 5
_SERIES = (_MARK, _BAD, _THIRD, _FOURTH)


@dataclass(frozen=True)
class Drawing:
    """A figure of the page."""

    title: str
    text: str
    """What it shows, for whoever does not see it."""
    svg: str


@dataclass(frozen=True)
class Mark:
    """A model among many, as `many` draws it."""

    price: float
    """What less of is better; above 0."""
    top1: float
    """Percent, with the bounds of its 95 % interval."""
    low: float
    high: float
    is_front: bool
    """Whether no other is as accurate for as little."""
    is_chosen: bool = False


def draw(report: Report) -> list[Drawing]:
    """Return the drawings, in the order in which they are read."""
    found = [
        _accuracy_steps(report.waterfall),
        _time_steps(report.waterfall),
        _size_steps(report.waterfall),
        _mac_steps(report.waterfall),
        _accuracy_by_size(report),
        _accuracy_by_latency(report),
        _rounds(report),
    ]
    curves = [each for each in report.curves if each.top1]
    return [*found, _learning(curves)] if curves else found


def many(marks: Sequence[Mark], floor: float | None, *, title: str, label: str) -> Drawing:
    """Return the drawing of many models, accuracy on validation against a price.

    `floor` is the least accuracy that is allowed, percent; None draws no line.
    """

    def fill(axes: Axes) -> None:
        edge = sorted((each for each in marks if each.is_front), key=lambda each: each.price)
        prices = [each.price for each in edge]
        axes.step(prices, [each.top1 for each in edge], where="post", color=_MARK, linewidth=1)
        groups = {
            "dominated": [each for each in marks if not each.is_front],
            "front": [each for each in edge if not each.is_chosen],
            "best": [each for each in marks if each.is_chosen],
        }
        for (name, group), colour, shape in zip(
            groups.items(), (_SOFT, _MARK, _BAD), _SHAPES, strict=False
        ):
            if group:
                arms = [_lengths(each.top1, each.low, each.high) for each in group]
                axes.errorbar(
                    [each.price for each in group],
                    [each.top1 for each in group],
                    yerr=[[low for (low,), _ in arms], [high for _, (high,) in arms]],
                    color=colour,
                    marker=shape,
                    markerfacecolor=_PAPER if name == "dominated" else colour,
                    markersize=4 if name == "dominated" else 6,
                    linestyle="none",
                    elinewidth=0.6,
                    label=name,
                )
        if floor is not None:
            axes.axhline(floor, color=_BAD, linewidth=0.8, linestyle="--", label="limit")
        _logarithmic(axes, [each.price for each in marks])

    told = ", ".join(f"{each.price:g}: {fmt.percent(each.top1)}" for each in marks if each.is_front)
    svg = _drawn(fill, x_label=label, y_label="% right, validation", legend_rows=1)
    return Drawing(title, f"{len(marks)} models; on the front {told}.", svg)


def shares(found: Mapping[str, float], *, title: str, label: str) -> Drawing:
    """Return a bar for each name, the longest first; shares from 0 to 1."""
    ordered = sorted(found.items(), key=lambda each: -each[1])

    def fill(axes: Axes) -> None:
        axes.barh(range(len(ordered)), [100 * share for _, share in ordered], color=_MARK)
        axes.set_yticks(range(len(ordered)), [_wrapped(name) for name, _ in ordered])
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")

    told = ", ".join(f"{name} {fmt.percent(100 * share, 0)}" for name, share in ordered)
    return Drawing(title, f"{told}.", _drawn(fill, x_label=label))


def _wrapped(key: str) -> str:
    """Return a key of `params.yaml` in lines that fit beside the bars, broken at its dots."""
    parts = textwrap.wrap(key.replace(".", ". "), _KEY_CHARACTERS, break_long_words=False)
    return "\n".join(part.replace(" ", "") for part in parts)


def _accuracy_steps(found: Waterfall) -> Drawing:
    told = [fmt.points(each.top1) for each in found.steps]

    def fill(axes: Axes) -> None:
        levels = [each.top1 for each in _levels(found)]
        bounds = [_top1_bounds(each) for each in found.steps]
        _bars(axes, _names(found), levels, told, bounds, is_more_better=True)

    return Drawing(
        "Test accuracy, stage by stage",
        _told("Percentage points of test accuracy", found, told),
        _drawn(fill, x_label="% of the test images"),
    )


def _time_steps(found: Waterfall) -> Drawing:
    told = [fmt.signed(each.p50_ms, fmt.milliseconds) for each in found.steps]
    return _ratio_steps(
        found,
        told,
        figure=lambda each: each.p50_ms,
        changes=[each.time_change for each in found.steps],
        bounds=[_time_bounds(each) for each in found.steps],
        title="Time per image, stage by stage",
        what="Milliseconds of one image",
        label="ms per image (p50), logarithmic",
    )


def _size_steps(found: Waterfall) -> Drawing:
    told = [fmt.signed(each.size_kib, fmt.kib) for each in found.steps]
    return _ratio_steps(
        found,
        told,
        figure=lambda each: each.size_kib,
        changes=[_change(each.before.size_kib, each.after.size_kib) for each in found.steps],
        bounds=[None for _ in found.steps],
        title="Size of the file, stage by stage",
        what="KiB of the file",
        label="KiB, logarithmic",
    )


def _mac_steps(found: Waterfall) -> Drawing:
    told = [fmt.signed(each.macs_m, fmt.millions) for each in found.steps]
    return _ratio_steps(
        found,
        told,
        figure=lambda each: each.macs_m,
        changes=[_change(each.before.macs_m, each.after.macs_m) for each in found.steps],
        bounds=[None for _ in found.steps],
        title="Multiply-accumulates, stage by stage",
        what="Millions of multiply-accumulates of one image",
        label="MACs, millions, logarithmic",
    )


def _ratio_steps(
    found: Waterfall,
    told: Sequence[str],
    *,
    figure: Callable[[Variant], float],
    changes: Sequence[float],
    bounds: Sequence[_Bounds],
    title: str,
    what: str,
    label: str,
) -> Drawing:
    """Draw steps of a figure of which less is better, with their changes in percent."""

    def fill(axes: Axes) -> None:
        levels = [figure(each) for each in _levels(found)]
        shares = [fmt.change(each) for each in changes]
        _bars(axes, _names(found), levels, shares, bounds, is_more_better=False)
        _logarithmic(axes, levels, most_ticks=_MOST_TICKS - 1)

    return Drawing(title, _told(what, found, told), _drawn(fill, x_label=label))


def _change(before: float, after: float) -> float:
    """Return percent."""
    return 100 * (after / before - 1)


def _top1_bounds(step: WaterfallStep) -> _Bounds:
    if step.paired is None:
        return None
    low, high = step.paired.gain_bounds()
    return step.before.top1 + low, step.before.top1 + high


def _time_bounds(step: WaterfallStep) -> _Bounds:
    """Return the bounds of the time after a step, given that before it."""
    if step.slower is None or isinf(step.slower[2]):
        return None
    _, low, high = step.slower
    return step.before.p50_ms * (1 + low / 100), step.before.p50_ms * (1 + high / 100)


def _levels(found: Waterfall) -> list[Variant]:
    return [found.total.before, *(each.after for each in found.steps)]


def _names(found: Waterfall) -> list[str]:
    return [each.name for each in found.steps]


def _told(what: str, found: Waterfall, changes: Sequence[str]) -> str:
    steps = ", ".join(f"{s} {told}" for s, told in zip(_names(found), changes, strict=True))
    return f"{what} from baseline to product: {steps}."


def _bars(
    axes: Axes,
    names: Sequence[str],
    levels: Sequence[float],
    told: Sequence[str],
    bounds: Sequence[_Bounds],
    *,
    is_more_better: bool,
) -> None:
    """Draw a bar from level to level for each step, between two marks for the first and last."""
    last = len(names) + 1
    for row, (before, after) in enumerate(pairwise(levels), start=1):
        interval = bounds[row - 1]
        is_better = (after > before) == is_more_better
        colour = _MARK if is_better else _BAD
        axes.barh(row, after - before, left=before, height=0.55, color=colour)
        axes.plot([after, after], [row, row + 1], color=_SOFT, linewidth=0.8)
        if interval:
            axes.plot(interval, [row, row], color=_INK, linewidth=1.2)
        axes.annotate(
            told[row - 1],
            (max(before, after, *(interval or ())), row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
        )
    axes.plot([levels[0], levels[0]], [0, 1], color=_SOFT, linewidth=0.8)
    axes.plot([levels[0], levels[-1]], [0, last], "o", color=_INK)
    axes.set_yticks(range(last + 1), ["baseline", *names, "product"])
    axes.set_ylim(last + 0.6, -0.6)
    axes.grid(visible=False, axis="y")
    # Room for the text beside the bar that ends furthest to the right; bars cling to the edge.
    axes.use_sticky_edges = False
    axes.margins(x=0.34)


def _accuracy_by_size(report: Report) -> Drawing:
    return _pareto(
        report.variants,
        report.smallest,
        price=lambda each: each.size_kib,
        bounds=lambda each: (each.size_kib, each.size_kib),
        title="Accuracy against size",
        label="KiB of the file, logarithmic",
        form=fmt.kib,
    )


def _accuracy_by_latency(report: Report) -> Drawing:
    times = report.results.blocks
    return _pareto(
        report.variants,
        report.fastest,
        price=lambda each: each.p50_ms,
        bounds=lambda each: block_times.time_bounds(times[each.name], SURE_95),
        title="Accuracy against latency",
        label="ms per image (p50), logarithmic",
        form=fmt.milliseconds,
    )


def _pareto(
    variants: Sequence[Variant],
    front: Sequence[Variant],
    *,
    price: Callable[[Variant], float],
    bounds: Callable[[Variant], tuple[float, float]],
    title: str,
    label: str,
    form: Callable[[float], str],
) -> Drawing:
    def fill(axes: Axes) -> None:
        edge = sorted(front, key=price)
        axes.step(
            [price(each) for each in edge],
            [each.top1 for each in edge],
            where="post",
            color=_MARK,
            linewidth=1,
        )
        for each, shape in zip(variants, cycle(_SHAPES), strict=False):
            is_front = each in front
            axes.errorbar(
                price(each),
                each.top1,
                xerr=_lengths(price(each), *bounds(each)),
                yerr=_lengths(each.top1, each.top1_low, each.top1_high),
                color=_MARK if is_front else _SOFT,
                marker=shape,
                markerfacecolor=_MARK if is_front else _PAPER,
                linestyle="none",
                elinewidth=0.8,
                label=each.name,
            )
        _logarithmic(axes, [price(each) for each in variants])

    told = ", ".join(
        f"{each.name} {fmt.percent(each.top1)} at {form(price(each))}"
        + ("" if each in front else " (dominated)")
        for each in variants
    )
    svg = _drawn(fill, x_label=label, y_label="% right, test", legend_rows=2)
    return Drawing(title, f"{told}.", svg)


def _lengths(value: float, low: float, high: float) -> list[list[float]]:
    """Return the arms of an error bar; a bound that too few blocks cannot give has none."""
    is_known = abs(low) < float("inf")
    return [[max(0.0, value - low)], [max(0.0, high - value)]] if is_known else [[0.0], [0.0]]


def _rounds(report: Report) -> Drawing:
    rounds = report.rounds
    macs = [each.macs_m for each in rounds]
    undone = [each for each in rounds if not each.is_kept]

    def fill(axes: Axes) -> None:
        cut = [each.top1_cut for each in rounds]
        recovered = [each.top1_recovered for each in rounds]
        axes.plot(macs, recovered, "-o", color=_MARK, label="recovered")
        axes.plot(macs, cut, "--s", color=_BAD, label="after the cut")
        if undone:
            axes.plot(
                [each.macs_m for each in undone],
                [each.top1_recovered for each in undone],
                "o",
                color=_MARK,
                markerfacecolor=_PAPER,
                label="undone",
            )
        axes.invert_xaxis()

    told = ", ".join(
        f"round {each.number} {fmt.millions(each.macs_m)}, "
        f"{fmt.percent(each.top1_cut)} cut, {fmt.percent(each.top1_recovered)} recovered"
        for each in rounds
    )
    x_label, y_label = "multiply-accumulates, millions", "% right, validation"
    svg = _drawn(fill, x_label=x_label, y_label=y_label, legend_rows=1)
    return Drawing("Accuracy by round of pruning", f"{told}.", svg)


def _learning(curves: Sequence[LearningCurve]) -> Drawing:
    def fill(axes: Axes) -> None:
        begun = 0.0
        for curve, colour, shape in zip(curves, _SERIES, _SHAPES, strict=False):
            epochs = [begun + each for each in curve.epochs]
            wrong = [100 - each for each in curve.top1]
            axes.plot(epochs, wrong, marker=shape, markersize=4, color=colour, label=curve.name)
            begun = epochs[-1]
        _logarithmic(axes, [100 - each for curve in curves for each in curve.top1], axis="y")

    told = ", ".join(f"{each.name} ends at {fmt.percent(each.top1[-1])}" for each in curves)
    labels = {
        "x_label": "passes over the training split, in turn",
        "y_label": "% wrong, validation",
    }
    return Drawing("Learning curves", f"{told}.", _drawn(fill, **labels, legend_rows=2))


def _logarithmic(
    axes: Axes, values: Sequence[float], axis: str = "x", most_ticks: int = _MOST_TICKS
) -> None:
    """Scale an axis by ratios, with plain numbers; a narrow one has room for fewer."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if min(values) <= 0:
        return
    ticks = _ticks(min(values) / 1.25, max(values) * 1.25, most_ticks)
    scaled = axes.xaxis if axis == "x" else axes.yaxis
    axes.set(**{f"{axis}scale": "log"})
    scaled.set_major_locator(FixedLocator(ticks))
    scaled.set_minor_locator(NullLocator())
    scaled.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Return round numbers between the two, as many as there is room for, or all that there are."""
    for digits in (range(1, 10), (1, 2, 5), (1, 3), (1,)):
        steps = [digit * 10.0**power for power in range(-4, 9) for digit in digits]
        found = [step for step in steps if low <= step <= high]
        if len(found) <= most:
            break
    return found


def _drawn(
    fill: Callable[[Axes], None], *, x_label: str, y_label: str = "", legend_rows: int = 0
) -> str:
    """Return the SVG of one pair of axes."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        # What a matplotlibrc of the user's says must not show.
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        axes = figure.add_axes(_frame(is_wide=not y_label, legend_rows=legend_rows))
        fill(axes)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        if legend_rows:
            _legend(figure, axes, legend_rows)
        return _inline(figure)


def _frame(*, is_wide: bool, legend_rows: int) -> tuple[float, float, float, float]:
    """Return left, bottom, width and height of the axes, as shares of the figure."""
    left = 0.29 if is_wide else 0.14
    bottom = 0.18 + 0.08 * legend_rows
    return left, bottom, 0.97 - left, 0.95 - bottom


def _legend(figure: Figure, axes: Axes, rows: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    columns = -(-len(handles) // rows)
    figure.legend(handles, labels, loc="lower center", ncols=columns)


def _inline(figure: Figure) -> str:
    """Return what belongs into a page: no prologue, no size, no font, no name of ours or theirs."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", metadata=nothing)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<svg [^>]*(viewBox=\"[^\"]*\")[^>]*>", r"<svg \1>", svg, count=1)
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family: [^;\"]*;?", "", svg)
    svg = re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", svg)
    svg = svg.replace("xlink:href", "href")
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    return re.sub(r"\s*\n\s*", "\n", svg).strip()
