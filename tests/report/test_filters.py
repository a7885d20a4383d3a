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
        (filters.cell, "x" * 300, "x" * 199 + "\N{HORIZONTAL ELLIPSIS}"),
    ],
)
def test_formats(function, value, text) -> None:
    assert function(value) == text
