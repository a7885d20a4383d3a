from typing import Any

import pytest
from records_of_trials import WRITTEN, record, search

from slimline.search import judgement
from slimline.search.settings import SearchParams

LIMITS = WRITTEN["search"]["limits"]


def limited(**limits: Any) -> SearchParams:
    return search(limits=LIMITS | limits)


def trial(threshold: float, **changes: Any) -> Any:
    return record({"prune.threshold": threshold}, **changes)


@pytest.mark.parametrize(
    ("limits", "missed"),
    [
        ({}, {"max_top1_drop": 0.06, "min_int8_macs": -10.0}),
        ({"max_top1_drop": 1.0, "min_int8_macs": "none"}, {"max_top1_drop": -0.44}),
        ({"max_size_kib": 100}, {"max_size_kib": 85.0}),
        ({"min_size_ratio": 5}, {"min_size_ratio": 25.0}),
        ({"max_macs_m": 9.0}, {"max_macs_m": 0.0}),
        ({"min_top1": 90}, {"min_top1": 0.56}),
    ],
)
def test_what_is_missed_and_by_how_much(limits: dict[str, Any], missed: dict[str, float]) -> None:
    figures = trial(0.55).figures | {"top1": 89.44}
    found = judgement.misses(figures, limited(**limits).limits)
    assert {key: found[key] for key in missed} == missed


def test_a_pruned_model_is_given_up_where_it_cannot_recover() -> None:
    figures = {"pruned_top1": 89.1, "baseline_top1": 90.0}
    assert not judgement.hopeless(figures, search())
    lost = figures | {"pruned_top1": 88.9}
    assert "1.10 points below the baseline" in judgement.hopeless(lost, search())
    assert not judgement.hopeless(lost, search(recovers="none"))
    assert "less than the 91 %" in judgement.hopeless(figures, limited(min_top1=91))


def test_a_pruned_model_that_is_too_slow_by_the_table_is_given_up() -> None:
    figures = {"pruned_top1": 90.0, "baseline_top1": 90.0, "latency_ms": 0.08}
    assert not judgement.hopeless(figures, limited(max_latency_ms=0.08))
    slow = limited(max_latency_ms=0.064)
    assert "it takes 0.0800 ms by the table, more than the 0.064" in judgement.hopeless(
        figures, slow
    )
    stopped = trial(0.1, state="stopped", figures=figures)
    assert judgement.constraints(stopped, slow)["max_latency_ms"] == pytest.approx(25)
    # Where the limit is looser now, it is run to its end.
    assert judgement.trials([stopped], slow) == [stopped]
    assert judgement.trials([stopped], limited(max_latency_ms=0.1)) == []


def test_the_best_is_the_smallest_that_keeps_all_limits() -> None:
    found = [trial(each, number=at) for at, each in enumerate((0.3, 0.45, 0.6))]
    assert [each.number for each in judgement.ranked(found, search())] == [1, 0]
    assert judgement.ranked(found, limited(max_size_kib=10)) == []
    told = judgement.why_none(found, limited(max_size_kib=10))
    assert "no trial keeps the limits (3 complete); the nearest misses" in told


def test_a_stopped_trial_counts_while_the_limit_is_what_it_was() -> None:
    stopped = trial(0.9, state="stopped", figures={"pruned_top1": 88.0, "baseline_top1": 90.0})
    assert judgement.trials([stopped], search()) == [stopped]
    assert judgement.trials([stopped], limited(max_top1_drop=3)) == []


def test_seeds_without_what_the_goal_asks_for_now_are_run_again() -> None:
    timed = trial(0.3)
    timed = record(timed.settings, figures=timed.figures | {"latency_ms": 0.05})
    runs = [trial(0.3, seed=seed) for seed in (2, 3, 4)]
    assert judgement.confirmed([timed, *runs], search()) is not None
    assert judgement.confirmed([timed, *runs], limited(max_latency_ms=2.0)) is None


def test_of_several_that_are_confirmed_the_first_in_rank_is_best() -> None:
    small, large = trial(0.45, number=0), trial(0.3, number=1)
    heavier = small.figures | {"size_kib": 10_000.0}
    runs = [trial(0.45, seed=seed, figures=heavier) for seed in (2, 3, 4)]
    runs += [trial(0.3, seed=seed) for seed in (2, 3, 4)]
    confirmed = judgement.confirmed([small, large, *runs], search())
    assert confirmed is not None
    assert confirmed.trial == small


def test_nothing_is_best_before_other_seeds_say_so() -> None:
    small, large = trial(0.45, number=0), trial(0.3, number=1)
    found = [small, large]
    assert judgement.confirmed(found, search()) is None
    worse = small.figures | {"top1": 88.0}
    runs = [trial(0.45, seed=seed, figures=worse) for seed in (2, 3, 4)]
    assert judgement.confirmed([*found, *runs], search()) is None
    runs += [trial(0.3, seed=seed) for seed in (2, 3)]
    assert judgement.confirmed([*found, *runs], search()) is None
    runs += [trial(0.3, seed=4)]
    confirmed = judgement.confirmed([*found, *runs], search())
    assert confirmed is not None
    assert confirmed.trial == large
    failed = [*runs[:-1], trial(0.3, seed=4, state="failed", figures={})]
    assert judgement.confirmed([*found, *failed], search()) is None
