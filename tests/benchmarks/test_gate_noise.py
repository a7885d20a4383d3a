import numpy as np
import pytest

from benchmarks import gate_noise
from slimline.report.gates import Burden

DRAWS = 1000
NOISE = 1.8
"""Points by which 5 % of so many draws is off by chance in one case of 200."""


@pytest.mark.parametrize("count", [200, 2_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_of_models_at_the_limit_few_fail_and_few_are_proven(count: int) -> None:
    rng = np.random.default_rng(1)
    for changed in gate_noise.CHANGED[:2]:
        case = (rng, DRAWS, count, changed, gate_noise.LIMIT)
        assert 100 - gate_noise.paired_share(*case, "refute") <= 5 + NOISE
        assert gate_noise.paired_share(*case, "prove") <= 5 + NOISE
    for top1 in gate_noise.TOP1[1:]:
        assert 100 - gate_noise.single_share(rng, DRAWS, count, top1, "refute") <= 5 + NOISE
        assert gate_noise.single_share(rng, DRAWS, count, top1, "prove") <= 5 + NOISE


def test_what_is_good_is_proven_with_enough_images() -> None:
    rng = np.random.default_rng(1)
    assert gate_noise.paired_share(rng, 500, 10_000, 0.01, 0, "prove") > 95
    assert gate_noise.paired_share(rng, 500, 10_000, 0.06, 2, "refute") == 0


@pytest.mark.parametrize("burden", ["refute", "prove"])
def test_of_recalls_at_the_limit_few_fail_and_few_are_proven(burden: Burden) -> None:
    """Classes of 4 to 80 images; with one that loses what is allowed, or all."""
    rng, draws, count = np.random.default_rng(2), 200, 200
    wrong = [gate_noise.recall_share(rng, draws, count, gate_noise.RECALLS, burden)]
    for at_limit in (gate_noise.SHARES[-1:], gate_noise.SHARES):
        lost = [gate_noise.DROP if each in at_limit else 0.0 for each in gate_noise.SHARES]
        wrong.append(gate_noise.drop_share(rng, draws, count, lost, burden))
    if burden == "refute":
        wrong = [100 - each for each in wrong]
    assert max(wrong) <= 5 + 2 * NOISE


def test_that_no_class_lost_more_is_proven_with_enough_images_of_each() -> None:
    rng, none = np.random.default_rng(3), [0.0] * len(gate_noise.SHARES)
    assert gate_noise.drop_share(rng, 50, 20_000, none, "prove") > 90
    assert gate_noise.drop_share(rng, 50, 20_000, [*none[1:], 20.0], "refute") < 10
