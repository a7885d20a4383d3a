from math import nan
from pathlib import Path

import pytest

from benchmarks import fair


@pytest.mark.parametrize(
    ("validation", "times", "is_plateau"),
    [
        ([80.0, 85.0, 85.1, 99.0], 4, True),
        ([80.0, 85.0, 84.0, 99.0], 2, True),
        ([80.0, 85.0, 88.0, 90.0], 8, False),
        ([80.0, nan, 99.0, 99.0], 1, True),
    ],
)
def test_a_plateau_is_where_doubling_brings_too_little(
    validation: list[float], times: int, is_plateau: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(_: fair.Bench, name: str, times: int, make: object) -> fair.Trained:
        assert make is None
        return fair.Trained(Path(name), times, 100, validation[times.bit_length() - 1], 0.0)

    monkeypatch.setattr(fair.Bench, "_trained", trained)
    none: object = None
    bench = fair.Bench(Path(), 1, 0.2, 3, *[none] * 4)
    found = bench.plateau("baseline", none)
    assert (found.times, found.is_plateau) == (times, is_plateau)
