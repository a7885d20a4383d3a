from math import inf

import pytest

from slimline.report import number_formatting


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (number_formatting.points, 0.126, "+0.13"),
        (number_formatting.points, -0.126, "\N{MINUS SIGN}0.13"),
        (number_formatting.points, -0.001, "0.00"),
        (number_formatting.percent, 99.999, "99.99 %"),
        (number_formatting.percent, 0.001, "0.01 %"),
        (number_formatting.percent, 100, "100.00 %"),
        (number_formatting.times, 3.14159, "3.14 x"),
        (number_formatting.times, 31.4159, "31.4 x"),
        (number_formatting.milliseconds, 0.21345, "0.213 ms"),
        (number_formatting.milliseconds, 123.4, "123 ms"),
        (number_formatting.milliseconds, 999.7, "1,000 ms"),
        (number_formatting.milliseconds, 1234.5, "1,234 ms"),
        (number_formatting.millions, 1814, "1,814 M"),
        (number_formatting.count, 1_200_000_000, "1.2 G"),
        (number_formatting.count, 999_700, "1 M"),
        (number_formatting.prose, "x" * 300, "x" * 300),
        (number_formatting.prose, "a|b\n@me", "a\\|b @\N{ZERO WIDTH SPACE}me"),
        (number_formatting.kib, 43687.4, "43,687 KiB"),
        (number_formatting.count, 1_263_422, "1.26 M"),
        (number_formatting.count, 5_120, "5.12 k"),
        (number_formatting.count, 12, "12"),
        (number_formatting.millions, 10.5676, "10.6 M"),
        (number_formatting.cell, "a|b\n<script>", "a\\|b &lt;script&gt;"),
        (number_formatting.number, 0.214, "0.21"),
        (number_formatting.number, -0.214, "\N{MINUS SIGN}0.21"),
        (number_formatting.number, -0.001, "0.00"),
        (number_formatting.number, 43687.4, "43,687"),
        (number_formatting.number, float("inf"), "\N{INFINITY}"),
        (number_formatting.cell, "<" * 300, "&lt;" * 199 + "\N{HORIZONTAL ELLIPSIS}"),
        (number_formatting.plain, "a\nb\u202e<", "a b\N{REPLACEMENT CHARACTER}<"),
        (number_formatting.margin, 0.567, "±0.57"),
        (number_formatting.mib, 90.4, "90 MiB"),
        (number_formatting.per_second, 3120.4, "3,120"),
        (number_formatting.cell, "x" * 300, "x" * 199 + "\N{HORIZONTAL ELLIPSIS}"),
    ],
)
def test_formats(function, value, text) -> None:
    assert function(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.4, "+1,234 KiB"), (-1234.4, "\N{MINUS SIGN}1,234 KiB"), (0.2, "0 KiB"), (-0.2, "0 KiB")],
)
def test_a_change_has_a_sign_unless_it_is_nothing(value: float, text: str) -> None:
    assert number_formatting.signed(value, number_formatting.kib) == text


def test_a_ratio_below_1_is_told_the_other_way_round() -> None:
    assert number_formatting.less(60.2, "smaller", "larger") == "60.2 x smaller"
    assert number_formatting.less(0.5, "smaller", "larger") == "2.00 x larger"


def test_bounds_share_their_unit() -> None:
    assert number_formatting.percents(89.6, 90.77) == "89.60 to 90.77 %"


def test_a_ratio_is_told_as_a_change() -> None:
    assert number_formatting.relative(200, 150) == "\N{MINUS SIGN}25.00 %"
    assert number_formatting.relative(2, 2) == "the same"


@pytest.mark.parametrize(
    ("value", "text"),
    [(12.34, "+12.3 %"), (-0.04, "0.0 %"), (-3, "\N{MINUS SIGN}3.0 %"), (inf, "+\N{INFINITY} %")],
)
def test_a_noisy_change_has_one_digit(value: float, text: str) -> None:
    assert number_formatting.change(value) == text


def test_what_is_unknown_has_no_spread() -> None:
    assert number_formatting.spread(1.24) == "±1.2 %"
    assert number_formatting.spread(inf) == "\N{EN DASH}"
