from math import inf

import numpy as np
import pytest

from slimline.measure import significance, training_noise
from slimline.measure.training_noise import TrainingNoise


@pytest.mark.parametrize("top1", [90.0, 90.1])
def test_seeds_that_answer_alike_prove_nothing(top1: float) -> None:
    found = training_noise.compare([top1] * 3, [top1 + 0.2] * 3)
    assert (found.low, found.high, found.is_beyond_noise) == (-inf, inf, False)


def test_a_loss_that_training_hides_is_found_in_8_of_10_cases() -> None:
    """As a gate does it: with the spread over so many seeds, and endless images."""
    rng, seeds, sure = np.random.default_rng(0), 9, 0.95
    lost = TrainingNoise(seeds, 90.0, 1.0).hidden(sure) + rng.normal(0, 2**0.5, 4000)
    spreads = np.std(rng.normal(0, 1, (4000, seeds)), axis=1, ddof=1)
    bound = significance.student(sure, seeds - 1) * 2**0.5 * spreads
    assert 0.75 < float(np.mean(lost > bound)) < 0.85
