from math import comb, inf
from time import process_time

import numpy as np
import pytest

from slimline.measure import significance


@pytest.mark.parametrize("tosses", [1, 2, 7, 30, 301])
def test_coin_tail_is_the_sum_of_binomial_coefficients(tosses: int) -> None:
    for heads in range(-1, tosses + 1):
        exact = sum(comb(tosses, k) for k in range(heads + 1)) / 2**tosses
        assert significance.coin_tail(heads, tosses) == pytest.approx(exact, rel=1e-10)


def test_coin_tail_of_a_hundred_million_tosses_is_quick_and_near_normal() -> None:
    tosses, began = 10**8, process_time()
    found = significance.coin_tail(tosses // 2 - 10_000, tosses)
    assert process_time() - began < 5
    assert found == pytest.approx(0.0227501, rel=1e-3)  # two standard deviations of 5,000


def test_median_bounds_are_the_ranks_of_the_textbooks() -> None:
    values = np.arange(1.0, 41.0)
    assert significance.median_bounds(values[:10], significance.SURE_95) == (2, 9)
    assert significance.median_bounds(values, significance.SURE_95) == (14, 27)
    assert significance.median_bounds(values[:5], 0.95) == (1, 5)
    assert significance.median_bounds(values[:4], 0.95) == (-inf, inf)
    assert significance.median_bounds(values[:0], 0.95) == (-inf, inf)


def test_median_bounds_cover() -> None:
    rng = np.random.default_rng(0)
    bounds = [
        significance.median_bounds(rng.lognormal(size=40), significance.SURE_95)
        for _ in range(4000)
    ]
    assert 0.95 <= np.mean([low <= 1 <= high for low, high in bounds]) <= 0.985


def test_holm_worked_out_by_hand() -> None:
    p_values = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}
    assert significance.beyond_chance(p_values, 0.95) == ["d", "a"]
    assert significance.beyond_chance({}, 0.95) == []


def test_exact_bounds_of_a_share() -> None:
    """5 of 10 at 95 % on each side, as in tables; none and all are bounded on one side alone."""
    assert significance.clopper_pearson(5, 10, 0.95) == pytest.approx((0.22244, 0.77756), abs=1e-5)
    assert significance.clopper_pearson(0, 10, 0.95) == pytest.approx((0, 1 - 0.05**0.1))
    assert significance.clopper_pearson(10, 10, 0.95) == pytest.approx((0.05**0.1, 1))


def test_how_many_images_show_a_loss() -> None:
    assert significance.images_needed(0.06, 0.005, 0.95) == 14839
    assert significance.detectable(0.06, 14839, 0.95) == pytest.approx(0.005, abs=1e-6)


@pytest.mark.parametrize(
    ("degrees", "point"), [(1, 12.706), (2, 4.303), (3, 3.182), (7, 2.365), (10, 2.228)]
)
def test_students_t_as_in_tables(degrees: int, point: float) -> None:
    assert significance.student(0.975, degrees) == pytest.approx(point, abs=5e-4)
