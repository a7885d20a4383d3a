"""Search for the smallest model within limits, as section search of params.yaml says.

  python -m slimline search            runs trials until there are enough, confirms the best
  python -m slimline search work ...   runs trials beside other workers; see docs/search.md
  python -m slimline search confirm    trains the best again with other seeds
  python -m slimline search report     writes metrics/search.html
  python -m slimline search apply      brings the confirmed best into params.yaml

Each trial is a DVC experiment of the current commit, so commit params.yaml first. What came of it
is kept in git, under refs/slimline/search: interrupted at any moment, the search goes on where it
was. Accuracy is that on validation; of what is confirmed, and of that alone, the test split's is
shown.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slimline.search.records import Record
    from slimline.search.trial import Bench

_ACTIONS = ("run", "work", "confirm", "report", "apply")
_PAGE = Path("metrics/search.html")


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("action", nargs="?", choices=_ACTIONS, default="run")
    parser.add_argument(
        "--storage",
        default="",
        help="what workers share: a journal file on one host, or postgresql://USER@HOST/DATABASE",
    )
    parser.add_argument(
        "--remote",
        default="",
        metavar="NAME",
        help="git remote that trials are pushed to, their models to the DVC remote",
    )
    parser.add_argument(
        "--patience",
        type=_patience,
        default=300.0,
        metavar="SECONDS",
        help="without a sign of life for so long a worker is dead, its trial run by another (300)",
    )
    parser.add_argument(
        "--unconfirmed",
        action="store_true",
        help="apply the best trial though no other seed has confirmed it",
    )


def run(arguments: Namespace) -> int:
    """Do what is asked; exit code 1 where nothing keeps the limits."""
    from slimline.search import loop, records

    bench = _bench(arguments)
    if arguments.remote:
        records.fetch(arguments.remote, bench.study)
    if arguments.action == "apply":
        return _apply(bench, is_unconfirmed=arguments.unconfirmed)
    if arguments.action == "report":
        return _report(bench)
    _require_commit()
    with loop.alone():
        try:
            return _search(arguments, bench)
        except KeyboardInterrupt:
            _say("interrupted; the same command goes on where it was")
            return 130


def _search(arguments: Namespace, bench: Bench) -> int:
    from slimline.search import judgement, latency, loop, own_clone, records, remotes
    from slimline.search.study import SearchError, Study

    def after(record: Record) -> None:
        if arguments.remote:
            remotes.push(record, arguments.remote)

    def before() -> None:
        if arguments.remote:
            records.fetch(arguments.remote, bench.study)

    is_worker = arguments.action == "work"
    if is_worker and not (arguments.storage and arguments.remote):
        raise SearchError("search work needs --storage and --remote, as in docs/search.md")
    own_clone.prepare()
    if bench.search.needs_latency:
        latency.check()
    if arguments.remote:
        remotes.check()
        remotes.push_missing(records.read(bench.study), arguments.remote, bench.worker)
    if arguments.action in {"run", "work"}:
        study = Study(
            bench.search,
            bench.study,
            storage=arguments.storage,
            worker=bench.worker if arguments.storage else "",
            patience=arguments.patience,
        )
        with closing(study):
            loop.run(bench, study, after, _say, before)
    if is_worker:
        return 0
    found = records.read(bench.study)
    if not judgement.ranked(found, bench.search):
        _say(judgement.why_none(found, bench.search))
        has_best = False
    else:
        has_best = _confirm(bench, after)
    if found:
        _report(bench)
    return 0 if has_best else 1


def _confirm(bench: Bench, after: Callable[[Record], None]) -> bool:
    """Train the best with other seeds; say whether one keeps the limits."""
    from slimline.search import describe, experiment, judgement, loop, records

    found = records.read(bench.study)
    best = judgement.ranked(found, bench.search)[0]
    tried = len(judgement.trials(found, bench.search))
    _say(f"best of {tried} trials: {describe.outcome(best, bench.search)}")
    if not bench.search.confirm.seeds:
        return True
    confirmed = loop.confirm(bench, after, _say)
    if confirmed is None:
        _say("none of the best keeps the limits with other seeds")
        return False
    top1 = [experiment.test_top1(each, bench.variants) for each in _commits(confirmed.runs)]
    _say(describe.tested(top1))
    return True


def _bench(arguments: Namespace) -> Bench:
    import os
    import socket

    from slimline import params, schema, variants
    from slimline.repository import refs
    from slimline.search import records
    from slimline.search.study import SearchError
    from slimline.search.trial import Bench

    path = params.PARAMS_PATH
    search = schema.check(path).search
    if not search.space:
        raise SearchError(
            f"{path}: search.space is empty: name the keys to search and what they may be, as "
            "prune.threshold: {low: 0.2, high: 0.6}"
        )
    written = params.read(path)
    return Bench(
        search=search,
        written=written,
        study=records.study_name(search, written),
        base=refs.git("rev-parse", "HEAD").strip(),
        variants=variants.read(),
        refuse=lambda changed: schema.mistakes(changed, path),
        worker=f"{socket.gethostname()}:{os.getcwd()}",  # noqa: PTH109
        is_pulling=bool(arguments.remote),
    )


def _require_commit() -> None:
    """Refuse to run experiments of what is not committed: no other machine could.

    Raises:
        SearchError: git knows of changes.
    """
    from slimline.repository import refs
    from slimline.search.study import SearchError

    parts = ["params.yaml", "dvc.yaml", "variants.yaml", "slimline", "stages", "own", "data"]
    changed = refs.git("status", "--porcelain", "--", *parts).splitlines()
    if changed:
        raise SearchError(
            f"{changed[0][3:]} is not committed; trials are experiments of a commit: commit first"
        )


def _apply(bench: Bench, *, is_unconfirmed: bool) -> int:
    import json

    from slimline.commands import apply
    from slimline.search import describe, judgement, records
    from slimline.search.study import SearchError

    found = records.read(bench.study)
    confirmed = judgement.confirmed(found, bench.search)
    ranked = judgement.ranked(found, bench.search)
    if not ranked:
        raise SearchError(judgement.why_none(found, bench.search))
    if confirmed is None and not is_unconfirmed:
        todo = (
            "run `python -m slimline search confirm`"
            if bench.search.confirm.seeds
            else "set search.confirm.seeds above 0"
        )
        raise SearchError(
            f"no trial has been confirmed with other seeds: {todo}, or apply the best as it is "
            "with --unconfirmed"
        )
    chosen = confirmed.trial if confirmed is not None else ranked[0]
    changes = [f"{key}={json.dumps(value)}" for key, value in chosen.settings.items()]
    _say(f"from {chosen.experiment}: {describe.outcome(chosen, bench.search)}")
    return apply.run(Namespace(changes=changes))


def _report(bench: Bench) -> int:
    from slimline import files
    from slimline.search import judgement, page, records
    from slimline.search.study import SearchError, Study

    found = records.read(bench.study)
    if not found:
        raise SearchError("there are no trials yet; run `python -m slimline search`")
    study = Study(bench.search, bench.study)
    study.add(judgement.trials(found, bench.search))
    files.write_text(_PAGE, page.render_page(page.content(bench, found, study.importances())))
    _say(f"wrote {_PAGE}")
    return 0


def _commits(runs: Sequence[Record]) -> list[str]:
    from slimline.repository import refs

    return [refs.git("rev-parse", f"{each.ref}^").strip() for each in runs]


def _patience(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    # What is alive says so five times in this time.
    if not seconds >= 1:
        raise ArgumentTypeError(f"must be a number of seconds from 1 up, not {text!r}")
    return seconds


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
