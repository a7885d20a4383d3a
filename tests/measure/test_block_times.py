from math import inf
from pathlib import Path

import numpy as np
import pytest

from slimline import files
from slimline.measure import block_times, significance
from slimline.measure.variant_figures import ResultsError


def times(milliseconds: float, seed: int, count: int = 40) -> np.ndarray:
    return milliseconds * np.random.default_rng(seed).lognormal(sigma=0.02, size=count)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    rows = [{"a": 1.5, "b": 0.25}, {"a": 1.0, "b": 0.5}]
    files.write_table(tmp_path / "blocks.tsv", rows)
    found = block_times.read(tmp_path / "blocks.tsv")
    assert {name: column.tolist() for name, column in found.items()} == {
        "a": [1.5, 1.0],
        "b": [0.25, 0.5],
    }


@pytest.mark.parametrize("time", ["nan", "inf", "0", "-1", "fast"])
def test_what_is_no_time_is_refused(time: str, tmp_path: Path) -> None:
    (tmp_path / "blocks.tsv").write_text(f"a\tb\n1.5\t0.25\n1.0\t{time}\n")
    with pytest.raises(ResultsError, match="is no table of times"):
        block_times.read(tmp_path / "blocks.tsv")


def test_a_slow_minute_of_the_machine_cancels() -> None:
    noise = np.linspace(1, 3, 20)
    low, high = block_times.speedup_bounds(10 * noise, 2 * noise, 0.975)
    assert (low, high) == pytest.approx((5, 5))


def test_a_slower_model_is_found_on_a_faster_day() -> None:
    before = times(10, 0), times(1.0, 1)
    after = times(5, 2), times(0.6, 3)
    value, low, high = block_times.slowdown(before, after, 0.95)
    assert low < 20 < high
    assert value == pytest.approx(20, abs=2)
    assert low > 15


def test_two_models_in_turns_need_no_reference() -> None:
    noise = np.linspace(1, 3, 20)
    assert block_times.slowdown_in_turns(2 * noise, 3 * noise, 0.975) == pytest.approx((50, 50, 50))
    assert block_times.slowdown_in_turns(noise[:3], noise[:3], 0.975) == (0, -100, inf)


def test_too_few_blocks_bound_nothing() -> None:
    few = times(10, 0, 3), times(1, 1, 3)
    _, low, high = block_times.slowdown(few, few, 0.95)
    assert (low, high) == (-100, inf)


def test_a_bound_that_is_no_number_stays_so() -> None:
    broken = np.full(20, np.nan)
    assert np.isnan(block_times.slowdown_in_turns(broken, broken, 0.975)).all()


def test_bounds_of_equal_models_hold_zero_nearly_always() -> None:
    misses = 0
    for seed in range(500):
        before = times(10, 4 * seed), times(1, 4 * seed + 1)
        after = times(10, 4 * seed + 2), times(1, 4 * seed + 3)
        _, low, high = block_times.slowdown(before, after, 0.975)
        misses += not low <= 0 <= high
    assert misses / 500 <= 0.06


def test_bounds_of_a_time_hold_though_neighbours_are_alike() -> None:
    """A machine whose speed wanders, so that ranks of single blocks miss in every fourth run."""
    rng = np.random.default_rng(0)
    missed = dict.fromkeys((block_times.time_bounds, significance.median_bounds), 0)
    for _ in range(400):
        wandering = [rng.normal() / 0.8]
        for each in rng.normal(size=39):
            wandering.append(0.6 * wandering[-1] + each)
        times = np.exp(0.02 * np.array(wandering))
        for bounds in missed:
            low, high = bounds(times, 0.975)
            missed[bounds] += not low <= 1 <= high
    assert missed[block_times.time_bounds] <= 0.08 * 400
    assert missed[significance.median_bounds] >= 0.2 * 400


def test_too_few_blocks_bound_no_time_either() -> None:
    assert block_times.time_bounds(np.ones(3), 0.975) == (-inf, inf)
    assert block_times.time_bounds(np.full(20, 2.0), 0.975) == (2, 2)
