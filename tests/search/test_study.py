import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import postgres
import pytest
import toy
from records_of_trials import record, search

from slimline.search import space
from slimline.search.records import Record
from slimline.search.settings import SearchParams
from slimline.search.study import Proposal, SearchError, Study


def proposed(study: Study, tried: set[str]) -> Proposal:
    found = study.propose(tried)
    assert found is not None
    return found


def run(study: Study, trials: int, begun: list[Record] | None = None) -> list[Record]:
    """Run so many trials more, by the formula."""
    found = list(begun or [])
    for number in range(len(found), len(found) + trials):
        proposal = proposed(study, {each.trial for each in found})
        found.append(record(proposal.settings, number))
        study.tell(proposal, found[-1])
    return found


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_study_rebuilt_from_its_records_goes_on_as_if_nothing_had_happened(sampler: str) -> None:
    settings = search(sampler=sampler, trials=30)
    whole = run(Study(settings, "whole"), 24)
    rebuilt = Study(settings, "rebuilt")
    rebuilt.add(whole[:14])
    assert run(rebuilt, 10, whole[:14]) == whole


@pytest.mark.slow
def test_a_gaussian_process_proposes_too() -> None:
    found = run(Study(search(sampler="gp", trials=30), "gp"), 12)
    assert len({each.trial for each in found}) == 12


def test_the_settings_of_the_file_are_tried_first() -> None:
    study = Study(search(), "first")
    study.begin({"prune.threshold": 0.3, "prune.recover.epochs": 2.0})
    first = proposed(study, set())
    assert first.settings == {"prune.threshold": 0.3, "prune.recover.epochs": 2.0}


def test_nothing_is_tried_twice_and_a_small_space_ends() -> None:
    searched = {
        "prune.threshold": {"low": 0.1, "high": 0.4, "step": 0.1},
        "prune.recover.epochs": {"low": 1.0, "high": 2.0, "step": 1.0},
    }
    settings = search(searched, trials=100)
    assert space.count(settings) == 8
    study = Study(settings, "small")
    found = run(study, 8)
    assert len({each.trial for each in found}) == 8
    assert study.propose({each.trial for each in found}) is None


def test_the_last_of_a_space_that_chance_does_not_find_are_found() -> None:
    """One of 4,000 settings by chance within 200 draws: one time in twenty."""
    searched = {
        "prune.threshold": {"low": 0.001, "high": 0.4, "step": 0.001},
        "prune.method": {"choices": ["structured_magnitude", "taylor"]},
        "prune.steps": {"low": 1, "high": 9, "only_if": {"prune.method": ["taylor"]}},
    }
    settings = search(searched, trials=9000)
    every = {space.name(each) for each in space.rest(settings, ())}
    assert len(every) == 400 + 400 * 9
    study = Study(settings, "nearly done")
    last = space.name({"prune.threshold": 0.123, "prune.method": "taylor", "prune.steps": 7})
    assert proposed(study, every - {last}).name == last
    assert study.propose(every) is None


def test_keys_that_do_not_count_have_no_value() -> None:
    searched = {
        "prune.method": {"choices": ["structured_magnitude", "taylor"]},
        "prune.threshold": {"low": 0.1, "high": 0.5},
        "prune.steps": {"low": 1, "high": 3, "only_if": {"prune.method": ["taylor"]}},
        "quantization.mixed.float_layers": {"choices": [[], ["fc"]]},
    }
    settings = search(searched)
    found = run(Study(settings, "conditional"), 16)
    kinds = {each.settings["prune.method"] for each in found}
    assert kinds == {"structured_magnitude", "taylor"}
    for each in found:
        assert ("prune.steps" in each.settings) == (each.settings["prune.method"] == "taylor")
        assert each.settings["quantization.mixed.float_layers"] in ([], ["fc"])
    rebuilt = Study(settings, "again")
    rebuilt.add(found)
    assert run(rebuilt, 2, found) == run(Study(settings, "conditional"), 18)


def test_trials_without_a_product_are_learnt_from_too() -> None:
    settings = search(trials=60)
    study = Study(settings, "failing")
    found: list[Record] = []
    for number in range(40):
        proposal = proposed(study, {each.trial for each in found})
        made = record(proposal.settings, number)
        if float(proposal.settings["prune.threshold"]) > 0.4:  # type: ignore[arg-type]
            made = record(proposal.settings, number, state="failed", reason="no", figures={})
        found.append(made)
        study.tell(proposal, made)
    failed = [each.state == "failed" for each in found]
    assert sum(failed[20:]) < sum(failed[:20])


def test_importances_say_what_decides() -> None:
    study = Study(search(trials=60), "importances")
    assert study.importances() == {}
    run(study, 30)
    found = study.importances()
    assert found["prune.threshold"] > found["prune.recover.epochs"]


@pytest.fixture(params=["journal", pytest.param("postgresql", marks=pytest.mark.slow)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "journal":
        yield str(tmp_path / "journal")
    else:
        with postgres.running() as url:
            yield url


class Workers:
    """Several that share a storage, each a study of its own as in a process of its own."""

    def __init__(self, storage: str, settings: SearchParams, **options: Any) -> None:
        self._storage, self._settings, self._options = storage, settings, options
        self._begun: list[Study] = []

    def begin(self, name: str) -> Study:
        options = {"storage": self._storage, "worker": name, **self._options}
        self._begun.append(Study(self._settings, "shared", **options))
        return self._begun[-1]

    def close(self) -> None:
        for each in self._begun:
            each.close()


Begin: TypeAlias = Callable[..., Workers]


@pytest.fixture
def workers(storage: str) -> Iterator[Begin]:
    begun: list[Workers] = []

    def begin(settings: SearchParams, **options: Any) -> Workers:
        begun.append(Workers(storage, settings, **options))
        return begun[-1]

    yield begin
    for each in begun:
        each.close()


def test_workers_begin_nothing_that_another_has_begun(workers: Begin) -> None:
    searched = {"prune.threshold": {"low": 0.1, "high": 0.4, "step": 0.1}}
    begun_by = workers(search(searched, trials=10))
    studies = [begun_by.begin(name) for name in "abc"]
    begun = [proposed(studies[at % 3], set()) for at in range(4)]
    assert len({each.name for each in begun}) == 4
    assert studies[0].propose(set()) is None


def test_workers_together_run_no_more_than_asked(workers: Begin) -> None:
    begun_by = workers(search(trials=4))
    studies = [begun_by.begin(name) for name in "abc"]
    for study in studies:
        proposed(study, set())
    last = proposed(studies[0], set())
    assert studies[1].propose(set()) is None
    studies[0].tell(last, record(last.settings))
    assert studies[1].propose({last.name}) is None


def test_the_trial_of_a_dead_worker_is_taken_over_once(workers: Begin) -> None:
    begun_by = workers(search(trials=10), patience=0.2)
    dead, first, second = (begun_by.begin(name) for name in "abc")
    lost = proposed(dead, set())
    time.sleep(0.5)
    assert first.take_over(set()) == 0
    assert second.take_over(set()) == 0
    names = [proposed(each, set()).name for each in (first, second)]
    assert names.count(lost.name) == 1


def test_a_worker_taken_for_dead_may_still_tell_what_it_found(workers: Begin) -> None:
    begun_by = workers(search(trials=10), patience=0.2)
    slow, other = begun_by.begin("a"), begun_by.begin("b")
    mine = proposed(slow, set())
    time.sleep(0.5)
    assert other.take_over(set()) == 0
    with slow.alive(mine):
        time.sleep(0.1)
    slow.tell(mine, record(mine.settings))
    slow.add([record(mine.settings)])
    assert proposed(other, {mine.name}).name != mine.name
    assert other.propose({mine.name}) is not None


def test_a_worker_that_lives_keeps_its_trial(workers: Begin) -> None:
    begun_by = workers(search(trials=10), patience=0.5)
    one, other = (begun_by.begin(name) for name in "ab")
    mine = proposed(one, set())
    with one.alive(mine):
        time.sleep(1.0)
        assert other.take_over(set()) == 1


def test_a_worker_begun_anew_goes_on_with_what_it_had(workers: Begin) -> None:
    begun_by = workers(search(trials=10))
    lost = proposed(begun_by.begin("a"), set())
    again = begun_by.begin("a")
    again.take_over(set())
    assert proposed(again, set()).name == lost.name


def test_what_has_a_record_is_not_run_again_though_nobody_told(
    workers: Begin,
) -> None:
    begun_by = workers(search(trials=10))
    lost = proposed(begun_by.begin("a"), set())
    again = begun_by.begin("a")
    again.take_over({lost.name})
    again.add([record(lost.settings)])
    assert proposed(again, {lost.name}).name != lost.name


def test_another_goal_begins_with_what_the_records_say_of_it(workers: Begin) -> None:
    strict, loose = search(trials=4), search(trials=4, recovers="none")
    known = run(Study(strict, "before"), 4)
    by_strict = workers(strict).begin("a")
    by_strict.add(known)
    assert by_strict.propose({each.trial for each in known}) is None
    # Two of them must be run again, now that nothing is stopped early.
    by_loose = workers(loose).begin("a")
    by_loose.add(known[:2])
    proposed(by_loose, {each.trial for each in known[:2]})


def test_a_lost_storage_is_filled_from_the_records(workers: Begin) -> None:
    settings = search(trials=30)
    found = run(Study(settings, "before"), 12)
    study = workers(settings).begin("a")
    for _, records in itertools.product(range(2), [found]):
        study.add(records)
    assert proposed(study, {each.trial for each in found}).number == 12


@pytest.mark.parametrize("url", ["sqlite:///study.db", "mysql://host/name"])
def test_a_storage_that_is_not_for_several_is_refused(url: str) -> None:
    with pytest.raises(SearchError, match="path of a journal file"):
        Study(search(), "any", storage=url)


def test_a_database_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(SearchError, match="the database cannot be opened") as refused:
        Study(search(), "any", storage="postgresql://you@127.0.0.1:1/search")
    assert "\n" not in str(refused.value)


def test_without_optuna_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SearchError, match=r"install --requirement requirements-search\.lock"):
        Study(search(), "any")


_OPEN = """\
import sys
from records_of_trials import search
from slimline.search.study import Study
Study(search(), "shared", storage=sys.argv[1]).close()
"""


@pytest.mark.slow
def test_workers_that_begin_at_once_share_one_new_database() -> None:
    paths = os.pathsep.join([str(toy.ROOT), str(toy.ROOT / "tests")])
    command = [sys.executable, "-c", _OPEN]
    with postgres.running() as url:
        begun = [
            subprocess.Popen(
                [*command, url],
                cwd=toy.ROOT,
                env=os.environ | {"PYTHONPATH": paths},
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(4)
        ]
        told = [each.communicate()[1] for each in begun]
    assert [each.returncode for each in begun] == [0] * 4, told
