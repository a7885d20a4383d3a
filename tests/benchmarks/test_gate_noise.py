import numpy as np
import pytest

from benchmarks import gate_noise

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
