from math import comb, inf
from time import process_time

import numpy as np
import pytest

from slimline.measure import significance
from slimline.measure.paired_answers import Paired
from slimline.report.gates import Sampled


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
    assert significance.images_needed(0.06, 0.005, 0.95) == 15038
    assert significance.detectable(0.06, 15038, 0.95) == pytest.approx(0.005, abs=1e-6)


@pytest.mark.parametrize(
    ("degrees", "point"), [(1, 12.706), (2, 4.303), (3, 3.182), (7, 2.365), (10, 2.228)]
)
def test_students_t_as_in_tables(degrees: int, point: float) -> None:
    assert significance.student(0.975, degrees) == pytest.approx(point, abs=5e-4)


@pytest.mark.parametrize(("count", "changed"), [(50, 0.0), (200, 0.01), (2000, 0.0), (2000, 0.06)])
def test_a_loss_of_the_size_that_is_told_is_shown(count: int, changed: float) -> None:
    rng = np.random.default_rng(0)
    seen = Sampled(count, (changed * count + 1) / (count + 1), 0.95)
    loss = seen.smallest / 100
    lost = (max(changed, loss) + loss) / 2
    drawn = rng.multinomial(count, [lost - loss, lost, 1 - 2 * lost + loss], 500).tolist()
    pairs = [Paired(count, count, count - down + up, up, down) for up, down, _ in drawn]
    shown = sum(each.gain_bounds(0.95, is_cautious=True)[1] < 0 for each in pairs)
    assert shown >= 0.76 * len(pairs)


@pytest.mark.parametrize(("changed", "points"), [(0.001, 0.5), (0.01, 2.0), (0.06, 0.5)])
def test_as_many_images_as_are_told_prove_it(changed: float, points: float) -> None:
    rng = np.random.default_rng(0)
    count = significance.images_needed(changed, points / 100, 0.95)
    drawn = rng.multinomial(count, [changed / 2, changed / 2, 1 - changed], 500).tolist()
    pairs = [Paired(count, count, count - down + up, up, down) for up, down, _ in drawn]
    proven = sum(each.gain_bounds(0.95, is_cautious=True)[0] >= -points for each in pairs)
    assert proven >= 0.76 * len(pairs)


def test_a_test_set_without_a_mistake_shows_no_loss_of_0() -> None:
    assert Sampled(50, 0.0, 0.95).smallest > 5
