from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import fair
from slimline import files

_NONE: Any = None


def _bench(folder: Path) -> fair.Bench:
    return fair.Bench(folder, 1, 0.2, 3, *[_NONE] * 4)


def _train_before(folder: Path, validation: Sequence[float]) -> None:
    """Leave what trainings of 1, 2, 4 ... times the epochs leave."""
    for doubling, top1 in enumerate(validation):
        score = {"times": 2**doubling, "images": 100, "validation": top1, "test": 0.0}
        files.write_json(folder / str(2**doubling) / fair.SCORE, score)


@pytest.mark.parametrize(
    ("validation", "times", "is_plateau"),
    [
        ([80.0, 85.0, 85.1], 4, True),
        ([80.0, 85.0, 84.0], 2, True),
        ([80.0, 85.0, 88.0, 90.0], 8, False),
    ],
)
def test_a_plateau_is_where_doubling_brings_too_little(
    validation: list[float], times: int, is_plateau: bool, tmp_path: Path
) -> None:
    _train_before(tmp_path / "seed-1/baseline", validation)

    # What is trained already is not made again: to make something of None would fail.
    found = _bench(tmp_path).plateau("baseline", _NONE)

    assert (found.times, found.is_plateau) == (times, is_plateau)


def test_a_training_counts_for_the_network_that_it_began_with_alone(tmp_path: Path) -> None:
    _train_before(tmp_path / "seed-1/baseline", [80.0, 85.0, 85.0])
    bench = _bench(tmp_path)
    baseline = bench.plateau("baseline", _NONE)
    _train_before(baseline.folder / "control", [70.0, 70.0])
    _train_before(tmp_path / "seed-1/baseline/4/control", [90.0, 90.0])

    found = bench.plateau("control: nothing cut", _NONE, source=baseline)

    assert found.validation == 70.0
