from math import inf

import pytest

from slimline.report import filters


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (filters.points, 0.126, "+0.13"),
        (filters.points, -0.126, "\N{MINUS SIGN}0.13"),
        (filters.points, -0.001, "0.00"),
        (filters.percent, 99.999, "99.99 %"),
        (filters.percent, 0.001, "0.01 %"),
        (filters.percent, 100, "100.00 %"),
        (filters.times, 3.14159, "3.14 x"),
        (filters.times, 31.4159, "31.4 x"),
        (filters.milliseconds, 0.21345, "0.213 ms"),
        (filters.milliseconds, 123.4, "123 ms"),
        (filters.kib, 43687.4, "43,687 KiB"),
        (filters.count, 1_263_422, "1.26 M"),
        (filters.count, 5_120, "5.12 k"),
        (filters.count, 12, "12"),
        (filters.millions, 10.5676, "10.6 M"),
        (filters.cell, "a|b\n<script>", "a\\|b &lt;script&gt;"),
        (filters.number, 0.214, "0.21"),
        (filters.number, -0.214, "\N{MINUS SIGN}0.21"),
        (filters.number, -0.001, "0.00"),
        (filters.number, 43687.4, "43,687"),
        (filters.number, float("inf"), "\N{INFINITY}"),
        (filters.cell, "<" * 300, "&lt;" * 199 + "\N{HORIZONTAL ELLIPSIS}"),
        (filters.plain, "a\nb\u202e<", "a b\N{REPLACEMENT CHARACTER}<"),
        (filters.margin, 0.567, "±0.57"),
        (filters.mib, 90.4, "90 MiB"),
        (filters.per_second, 3120.4, "3,120"),
        (filters.cell, "x" * 300, "x" * 199 + "\N{HORIZONTAL ELLIPSIS}"),
    ],
)
def test_formats(function, value, text) -> None:
    assert function(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.4, "+1,234 KiB"), (-1234.4, "\N{MINUS SIGN}1,234 KiB"), (0.2, "0 KiB"), (-0.2, "0 KiB")],
)
def test_a_change_has_a_sign_unless_it_is_nothing(value: float, text: str) -> None:
    assert filters.signed(value, filters.kib) == text


def test_bounds_share_their_unit() -> None:
    assert filters.percents(89.6, 90.77) == "89.60 to 90.77 %"


def test_a_ratio_is_told_as_a_change() -> None:
    assert filters.relative(200, 150) == "\N{MINUS SIGN}25.00 %"
    assert filters.relative(2, 2) == "the same"


@pytest.mark.parametrize(
    ("value", "text"),
    [(12.34, "+12.3 %"), (-0.04, "0.0 %"), (-3, "\N{MINUS SIGN}3.0 %"), (inf, "+\N{INFINITY} %")],
)
def test_a_noisy_change_has_one_digit(value: float, text: str) -> None:
    assert filters.change(value) == text


def test_what_is_unknown_has_no_spread() -> None:
    assert filters.spread(1.24) == "±1.2 %"
    assert filters.spread(inf) == "\N{EN DASH}"
