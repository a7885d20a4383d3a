"""Formatting for the templates: plain functions, one rule each."""

from collections.abc import Callable, Sequence
from math import inf, isinf

from slimline.report.gates import Gate
from slimline.report.limits import Loosened

MINUS = "\N{MINUS SIGN}"
_ESCAPES = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]|#"} | {"<": "&lt;", ">": "&gt;"})
_ROUNDED = 999.5
"""From here three digits round to 1,000, which would be written `1e+03`."""

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


def less(value: float, less_by: str, more_by: str) -> str:
    """A ratio in words that stay true below 1: `60.2 x smaller`, `2.10 x larger`."""
    return f"{times(value)} {less_by}" if value >= 1 else f"{times(1 / value)} {more_by}"


def milliseconds(value: float) -> str:
    """A duration, three significant digits, of a second and more all: `0.213 ms`, `1,234 ms`."""
    if value >= _ROUNDED:
        return f"{value:,.0f} ms"
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
    """A large number, short: `1.2 G`, `1.26 M`, `349 k`, `12`."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= _ROUNDED * limit / 1e3:
            return f"{value / limit:.3g} {unit}"
    return f"{value:.0f}"


def millions(value: float) -> str:
    """Millions of something, three significant digits, of a thousand and more all: `1,814 M`."""
    return f"{value:,.0f} M" if value >= _ROUNDED else f"{value:.3g} M"


def plain(value: str) -> str:
    """A name that a user chose, on one line, of a length that can be read."""
    flat = _flat(value)
    return flat if len(flat) <= _LONGEST else flat[: _LONGEST - 1] + "\N{HORIZONTAL ELLIPSIS}"


def cell(value: str) -> str:
    """Text that is safe inside a cell of a Markdown table, and inside Markdown at all."""
    return _escaped(plain(value))


def prose(value: str) -> str:
    """A sentence of ours that quotes names, as safe as `cell`, and whole."""
    return _escaped(_flat(value))


def _flat(value: str) -> str:
    # What is not printable may turn the text around it.
    return "".join(
        sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for sign in " ".join(value.split())
    )


def _escaped(value: str) -> str:
    # A mention would call a person.
    return value.replace("@", "@\N{ZERO WIDTH SPACE}").translate(_ESCAPES)


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
