from statistics import median

import pytest

from benchmarks import search


def test_the_table_has_every_trial_of_the_space() -> None:
    assert set(search.read()) == {search.space.name(settings) for settings in search.every()}


@pytest.mark.slow
@pytest.mark.parametrize("limit", [15.0, 20.0])
def test_the_sampler_finds_more_than_chance_in_median_over_20_seeds(limit: float) -> None:
    found = search.replay(search.read(), limit, trials=25, seeds=20)
    assert median(found["tpe"]) < median(found["random"])
