"""Formatting for the templates: plain functions, one rule each."""

from collections.abc import Callable, Sequence
from math import inf, isinf

from slimline.report.gates import Gate
from slimline.report.limits import Loosened

MINUS = "\N{MINUS SIGN}"
_ESCAPES = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]|#"} | {"<": "&lt;", ">": "&gt;"})
_LONGEST = 200
"""Characters of a name that a user chose; what is longer says no more."""


def points(value: float) -> str:
    """Percentage points with a sign: `+0.12`; a true minus, and no sign for zero."""
    rounded = round(value, 2)
    sign = "+" if rounded > 0 else MINUS if rounded < 0 else ""
    return f"{sign}{abs(rounded):.2f}"


def percent(value: float, digits: int = 2) -> str:
    """Percent: `92.31 %`; never 0 or 100 unless exact."""
    text = f"{value:.{digits}f}"
    step = 10**-digits
    if float(text) == 100 and value < 100:
        text = f"{100 - step:.{digits}f}"
    elif float(text) == 0 and value > 0:
        text = f"{step:.{digits}f}"
    return f"{text} %"


def percents(low: float, high: float) -> str:
    """Bounds of a percentage: `89.60 to 90.77 %`."""
    return f"{percent(low).removesuffix(' %')} to {percent(high)}"


def margin(value: float) -> str:
    """Half the width of an interval: `±0.57`."""
    return f"±{value:.2f}"


def spread(value: float) -> str:
    """How far a figure may be off, in percent of it: `±1.2 %`; a dash where that is unknown."""
    return "\N{EN DASH}" if isinf(value) else f"±{value:.1f} %"


def signed(value: float, form: Callable[[float], str]) -> str:
    """What was gained or lost, in the form of the figure itself: `+1.23 ms`; a true minus."""
    told = form(abs(value))
    if told == form(0):
        return told
    return f"{'+' if value > 0 else MINUS}{told}"


def relative(before: float, after: float) -> str:
    """A change in percent: `+12.34 %`."""
    return "the same" if before == after else f"{points(100 * (after / before - 1))} %"


def change(value: float) -> str:
    """A change in percent, as much of it as noise leaves: `+12.3 %`; infinite where unknown."""
    if isinf(value):
        return f"{'+' if value > 0 else MINUS}\N{INFINITY} %"
    rounded = round(value, 1)
    sign = "+" if rounded > 0 else MINUS if rounded < 0 else ""
    return f"{sign}{abs(rounded):.1f} %"


def times(value: float) -> str:
    """A ratio: `12.3 x`, two digits after the point below 10."""
    return f"{value:.2f} x" if value < 10 else f"{value:.1f} x"


def milliseconds(value: float) -> str:
    """A duration, three significant digits: `0.213 ms`."""
    return f"{value:#.3g} ms".replace(". ms", " ms")


def microseconds(value: float) -> str:
    """A short duration: `4.1 µs`."""
    return f"{value:.1f} \N{MICRO SIGN}s"


def kib(value: float) -> str:
    """A size: `1,234 KiB`."""
    return f"{value:,.0f} KiB"


def mib(value: float) -> str:
    """An amount of memory: `90 MiB`."""
    return f"{value:,.0f} MiB"


def per_second(value: float) -> str:
    """A throughput: `3,120`."""
    return f"{value:,.0f}"


def count(value: float) -> str:
    """A large number, short: `1.26 M`, `349 k`, `12`."""
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.0f}"


def millions(value: float) -> str:
    """Millions of something, three significant digits: `10.6 M`."""
    return f"{value:.3g} M"


def plain(value: str) -> str:
    """A name that a user chose, on one line, of a length that can be read."""
    flat = " ".join(value.split())
    # What is not printable may turn the text around it.
    flat = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in flat)
    return flat if len(flat) <= _LONGEST else flat[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


def cell(value: str) -> str:
    """Text that is safe inside a cell of a Markdown table, and inside Markdown at all."""
    # A mention would call a person.
    return plain(value).replace("@", "@\N{ZERO WIDTH SPACE}").translate(_ESCAPES)


def number(value: float) -> str:
    """A figure whose unit stands beside it: two digits after the point below 100, a true minus."""
    if isinf(value):
        return "\N{INFINITY}" if value == inf else f"{MINUS}\N{INFINITY}"
    rounded = round(value, 2)
    text = f"{abs(rounded):,.2f}" if abs(rounded) < 100 else f"{abs(rounded):,.0f}"
    return f"{MINUS}{text}" if rounded < 0 else text


def gate_value(gate: Gate) -> str:
    """Where the product stands, with its bounds: `0.21 points (0.05 to 0.37)`."""
    if gate.figure is None:
        return "\N{EN DASH}"
    told = f"{number(gate.figure.value)} {gate.unit}"
    if gate.figure.is_exact:
        return told
    return f"{told} ({number(gate.figure.low)} to {number(gate.figure.high)})"


def gate_limit(gate: Gate) -> str:
    """The limit: `at most 0.50 points`."""
    side = "at most" if gate.is_ceiling else "at least"
    return f"{side} {number(gate.limit)} {gate.unit}"


def gate_line(gate: Gate) -> str:
    """All of a gate on one line of a terminal."""
    told = f"{gate.verdict:<12}  {gate.key:<16}  {gate.name}"
    if gate.figure is not None:
        told += f": {gate_value(gate)}, {gate_limit(gate)}"
    return f"{told}; {gate.note}" if gate.note else told


def loosened_line(each: Loosened) -> str:
    """A limit that a pull request loosens, on one line of a terminal."""
    told = f"{each.after} here, {each.before} on the base, which holds until this is merged"
    return f"{'loosened':<12}  {each.key:<16}  {told}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown that is readable in a terminal as well: columns of even width."""
    columns = zip(header, *rows, strict=True)
    widths = [max(len(text) for text in column) for column in columns]
    lines = [header, ["-" * width for width in widths], *rows]
    padded = [
        " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        for line in lines
    ]
    return "\n".join(f"| {line} |" for line in padded)
