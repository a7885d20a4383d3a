"""The search itself: propose, run, keep, until there are trials enough; then confirm the best."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from slimline.search import describe, judgement, records, space, trial
from slimline.search.judgement import Confirmation
from slimline.search.records import Record
from slimline.search.settings import SearchParams
from slimline.search.study import SearchError, Study
from slimline.search.trial import Bench

_LOCK = Path(".dvc/tmp/slimline-search.lock")

_PAUSE, _LONGEST_PAUSE = 2.0, 30.0
"""Seconds until one looks again whether others are done: each time longer, since of fifty that wait
each asks the git remote."""


@contextmanager
def alone() -> Iterator[None]:
    """Hold this clone: two searches in one would throw away each other's trials.

    Raises:
        SearchError: another search runs here.
    """
    _LOCK.parent.mkdir(parents=True, exist_ok=True)
    with _LOCK.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise SearchError(
                f"another search runs in this clone, process {lock.read().strip()}; wait for it, "
                "or let a worker run in a clone of its own"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def run(
    bench: Bench,
    study: Study,
    after: Callable[[Record], None],
    say: Callable[[str], None],
    before: Callable[[], None] = lambda: None,
) -> None:
    """Run trials until there are enough, no time is left, or the space is exhausted.

    `before` brings what other workers found, `after` is called with each record.

    Raises:
        ExperimentError: the machine or DVC failed; begun anew, the search goes on.
    """
    search, begun, own = bench.search, time.monotonic(), 0
    pause = _PAUSE
    while True:
        before()
        known = judgement.trials(records.read(bench.study), search)
        names = {each.trial for each in known}
        others = study.take_over(names) if study.is_shared else 0
        study.add(known)
        if _is_over(search, begun):
            say(f"{search.hours:g} hours are over")
            return
        if len(known) < search.trials:
            study.begin(space.start(search, bench.written, Path("params.yaml")))
            proposal = study.propose(names)
            if proposal is not None:
                number = len(known) if not study.is_shared else proposal.number
                say(f"trial {len(known) + 1} of {search.trials}: {proposal}")
                with study.alive(proposal):
                    record = trial.run(bench, proposal.settings, number)
                    after(record)
                own, pause = own + 1, _PAUSE
                study.tell(proposal, record)
                say(_progress(bench, record, begun, own))
                continue
        if not others:
            if own:
                say(f"{own} trials took {(time.monotonic() - begun) / 60:.1f} min here")
            if len(known) < search.trials:
                say(_why_no_more(len(known), search))
            return
        # Another worker may die, and its trial must then be run here.
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE)


def confirm(
    bench: Bench, after: Callable[[Record], None], say: Callable[[str], None]
) -> Confirmation | None:
    """Train the best with other seeds until one keeps the limits; return it, None if none does."""
    search = bench.search
    found = records.read(bench.study)
    for rank, candidate in enumerate(judgement.ranked(found, search)[: search.confirm.candidates]):
        there = {
            each.seed
            for each in found
            if each.trial == candidate.trial and judgement.still_holds(each, search)
        }
        for seed in seeds(bench):
            if seed in there:
                continue
            told = describe.settings(candidate.settings)
            say(f"confirming number {rank + 1}, {told}, with seed {seed}")
            after(trial.run(bench, candidate.settings, candidate.number, seed))
        found = records.read(bench.study)
        whole = next(
            (e for e in judgement.confirmations(found, search) if e.trial == candidate), None
        )
        if whole is not None:
            say(describe.confirmation(whole, search))
            if whole.keeps(search):
                return whole
    return None


def seeds(bench: Bench) -> list[int]:
    """Return the seeds that confirm: those behind the file's own."""
    own: int = bench.written["seed"]
    return [(own + 1 + each) % 2**32 for each in range(bench.search.confirm.seeds)]


def _progress(bench: Bench, record: Record, begun: float, own: int) -> str:
    search = bench.search
    known = judgement.trials(records.read(bench.study), search)
    left = search.trials - len(known)
    seconds = (time.monotonic() - begun) / own * left
    if search.hours is not None:
        seconds = min(seconds, 3600 * search.hours - (time.monotonic() - begun))
    best = judgement.ranked(known, search)
    nearest = f"best so far {describe.goal(best[0].figures, search)}" if best else "none keeps them"
    return (
        f"{describe.outcome(record, search)}, {record.total_seconds:.0f} s; {nearest}; "
        f"{left} to go, about {max(0.0, seconds) / 60:.0f} min by this worker alone"
    )


def _why_no_more(known: int, search: SearchParams) -> str:
    if space.is_small(search):
        return f"all that the space has was tried: {known} settings"
    return (
        f"{known} of {space.count(search)} settings were tried, and no other was proposed: the "
        "same command goes on"
    )


def _is_over(search: SearchParams, begun: float) -> bool:
    return search.hours is not None and time.monotonic() - begun > 3600 * search.hours
