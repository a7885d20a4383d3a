"""Optuna, and the only place that knows it: proposals from what is known of the trials so far.

Without a storage the study lives in memory, rebuilt from the records in git each time: the same
records give the same next proposal. With one, workers share it to agree on who runs what; what
they found is in the records all the same.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Collection, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from slimline.errors import SlimlineError
from slimline.search import describe, judgement, space
from slimline.search.records import Record
from slimline.search.settings import Searched, SearchParams, Value
from slimline.search.space import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import optuna

INSTALL = "python -m pip install --requirement requirements-search.lock"

_ATTEMPTS = 200
"""Proposals that were tried already, before the rest of a small space is gone through."""

_BY_SAMPLER = 20
"""After so many of them chance proposes."""

_NAME, _ALIVE, _WORKER = "name", "alive", "worker"
"""What a trial in a shared storage says besides: its settings' name, when its worker last gave a
sign of life (seconds since 1970), and who that is."""

_CLAIM_SECONDS = 30.0
"""How long is waited for another worker that has begun a trial to say which."""


_OPENINGS = 5
"""How often a database is opened, before what it says is called an error."""


class SearchError(SlimlineError):
    """A search cannot begin or go on."""


@dataclass(frozen=True)
class Proposal:
    """What shall be tried next."""

    number: int
    settings: Settings
    trial: optuna.Trial

    @property
    def name(self) -> str:
        """Of its settings."""
        return space.name(self.settings)

    def __str__(self) -> str:
        """Tell its settings."""
        return describe.settings(self.settings)


class Study:
    """Trials so far, as Optuna knows them, and what it would try next."""

    def __init__(
        self,
        search: SearchParams,
        name: str,
        *,
        storage: str = "",
        worker: str = "",
        patience: float = 300.0,
    ) -> None:
        """Open a study, an empty one where there is none.

        `patience` is after how many seconds without a sign of life a worker is called dead.
        """
        _require_optuna()
        import optuna

        self._search, self._worker, self._patience = search, worker, patience
        self.is_shared = bool(storage)
        self._storage = _storage(storage)
        self._study: optuna.Study = optuna.create_study(
            study_name=f"{name}-{_goal(search)}", storage=self._storage, load_if_exists=True
        )

    def close(self) -> None:
        """Let go of the storage's connections."""
        from optuna.storages import RDBStorage

        if isinstance(self._storage, RDBStorage):
            self._storage.remove_session()
            self._storage.engine.dispose()

    def add(self, records: Sequence[Record]) -> None:
        """Tell of trials that this study does not know yet, as after a lost database."""
        known = {each.user_attrs.get(_NAME) for each in self._finished()}
        for record in records:
            if record.trial not in known:
                self._study.add_trial(self._frozen(record))

    def begin(self, start: Settings | None) -> None:
        """Propose the settings of the file first, if nothing has been tried."""
        if start is not None and not self._study.get_trials(deepcopy=False):
            self._study.enqueue_trial(self._encoded(start), skip_if_exists=True)

    def propose(self, tried: Collection[str]) -> Proposal | None:
        """Return settings that nobody has tried; None where there are no more, or enough."""
        most = min(self._search.trials, space.count(self._search))
        others = set(tried)
        for attempt in range(_ATTEMPTS):
            proposal = self._ask(len(tried), attempt)
            others |= self._claimed(proposal)
            if len(others) < most and proposal.name not in others:
                return proposal
            self.drop(proposal)
            if len(others) >= most:
                return None
        for settings in space.rest(self._search, others):
            self._study.enqueue_trial(self._encoded(settings))
            proposal = self._ask(len(tried), _ATTEMPTS)
            others |= self._claimed(proposal)
            if proposal.name not in others:
                return proposal
            self.drop(proposal)
        return None

    def tell(self, proposal: Proposal, record: Record) -> None:
        """Tell what came of a proposal."""
        import optuna

        if not self.is_shared:
            # As it is added to a study that is rebuilt, so that both propose the same.
            self.drop(proposal)
            self._study.add_trial(self._frozen(record))
            return
        with self._unless_ended():
            for key, value in judgement.constraints(record, self._search).items():
                proposal.trial.set_constraint(key, value)
            proposal.trial.set_user_attr(_NAME, record.trial)
            is_whole = record.state == "complete"
            states = optuna.trial.TrialState
            self._study.tell(
                proposal.trial,
                record.figures[self._search.minimise] if is_whole else None,
                state=states.COMPLETE if is_whole else states.PRUNED,
            )

    def drop(self, proposal: Proposal) -> None:
        """Take a proposal back: it is not counted, and nothing is learnt of it."""
        import optuna

        with self._unless_ended():
            self._study.tell(proposal.trial, state=optuna.trial.TrialState.FAIL)

    @contextmanager
    def _unless_ended(self) -> Iterator[None]:
        """Do nothing to a trial that another worker has ended, since it took this one for dead.

        What it found is in its record all the same, which `add` tells of.
        """
        import optuna

        try:
            yield
        except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
            if not self.is_shared:
                raise

    def take_over(self, tried: Collection[str]) -> int:
        """Put the trials of dead workers back into the queue; return how many others still run.

        What has a record, `tried`, is not run again: its worker died before it could tell.
        """
        running = 0
        for each in self._running():
            is_own = each.user_attrs.get(_WORKER) == self._worker
            silent = time.time() - each.user_attrs.get(_ALIVE, 0.0)
            began = each.datetime_start
            if _ALIVE not in each.user_attrs and began is not None:
                silent = time.time() - began.timestamp()
            if is_own or silent > self._patience:
                self._requeue(each, is_tried=each.user_attrs.get(_NAME) in tried)
            else:
                running += 1
        return running

    @contextmanager
    def alive(self, proposal: Proposal) -> Iterator[None]:
        """Give a sign of life now and then while a trial runs, where others wait for it."""
        ended = Event()

        def repeat() -> None:
            with self._unless_ended():
                while not ended.wait(self._patience / 5):
                    proposal.trial.set_user_attr(_ALIVE, time.time())

        thread = Thread(target=repeat, daemon=True)
        if self.is_shared:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            if self.is_shared:
                thread.join()

    def importances(self) -> dict[str, float]:
        """Return how much of the goal's spread among the better trials each key explains.

        By PED-ANOVA (Watanabe et al., 2023, arXiv:2304.10255); empty for fewer than 4 trials.
        """
        import optuna

        with_value = [each for each in self._study.get_trials(deepcopy=False) if each.values]
        if len(with_value) < 4 or len({each.value for each in with_value}) < 2:
            return {}
        found = optuna.importance.get_param_importances(
            self._study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        )
        return dict(found)

    def _ask(self, count: int, attempt: int) -> Proposal:
        self._study.sampler = self._sampler(count, attempt)
        trial = self._study.ask()
        settings = space.settle(self._search, partial(_suggest, trial))
        return Proposal(trial.number, settings, trial)

    def _claimed(self, proposal: Proposal) -> set[str]:
        return self._claim(proposal) if self.is_shared else set()

    def _claim(self, proposal: Proposal) -> set[str]:
        """Say what is begun; return what others have finished, or begun before.

        Each says first what it begins and then looks at those with a lower number alone, waiting
        for them to say: so of two that begin the same one goes on, the lower.
        """
        proposal.trial.set_user_attr(_WORKER, self._worker)
        proposal.trial.set_user_attr(_ALIVE, time.time())
        proposal.trial.set_user_attr(_NAME, proposal.name)
        given_up = time.monotonic() + _CLAIM_SECONDS
        while True:
            before = [each for each in self._running() if each.number < proposal.number]
            if all(_NAME in each.user_attrs for each in before) or time.monotonic() > given_up:
                break
            time.sleep(0.1)
        named = [each.user_attrs.get(_NAME) for each in (*before, *self._finished())]
        return {each for each in named if each is not None}

    def _running(self) -> list[optuna.trial.FrozenTrial]:
        import optuna

        states = [optuna.trial.TrialState.RUNNING]
        found: list[optuna.trial.FrozenTrial] = self._study.get_trials(False, states)
        return found

    def _finished(self) -> list[optuna.trial.FrozenTrial]:
        import optuna

        states = [optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED]
        found: list[optuna.trial.FrozenTrial] = self._study.get_trials(False, states)
        return found

    def _requeue(self, dead: optuna.trial.FrozenTrial, *, is_tried: bool) -> None:
        """Begin a trial of a dead worker anew; whoever ends it first is the one that does."""
        import optuna

        try:
            self._study.tell(dead.number, state=optuna.trial.TrialState.FAIL)
        except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
            return
        if dead.params and not is_tried:
            self._study.enqueue_trial(dead.params)

    def _frozen(self, record: Record) -> optuna.trial.FrozenTrial:
        import optuna

        is_whole = record.state == "complete"
        states = optuna.trial.TrialState
        return optuna.trial.create_trial(
            state=states.COMPLETE if is_whole else states.PRUNED,
            value=record.figures[self._search.minimise] if is_whole else None,
            params=self._encoded(record.settings),
            distributions={key: _distribution(self._search.space[key]) for key in record.settings},
            user_attrs={_NAME: record.trial},
            constraints=judgement.constraints(record, self._search),
        )

    def _encoded(self, settings: Settings) -> dict[str, Any]:
        return {key: _encode(value, self._search.space[key]) for key, value in settings.items()}

    def _sampler(self, count: int, attempt: int) -> optuna.samplers.BaseSampler:
        import optuna

        text = f"{self._search.seed} {count} {attempt} {self._worker}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
        name = self._search.sampler if attempt < _BY_SAMPLER else "random"
        if name == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        if name == "gp":
            return optuna.samplers.GPSampler(seed=seed, warn_independent_sampling=False)
        is_conditional = any(each.only_if for each in self._search.space.values())
        return optuna.samplers.TPESampler(seed=seed, group=is_conditional)


def _goal(search: SearchParams) -> str:
    """Return what tells goals apart: by another one, trials are worth something else."""
    told = search.model_dump_json(include={"minimise", "limits", "recovers"})
    return hashlib.sha256(told.encode()).hexdigest()[:8]


def _require_optuna() -> None:
    try:
        import optuna
    except ImportError:
        raise SearchError(f"a search needs Optuna, which is not installed: {INSTALL}") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


def _storage(url: str) -> Any:
    """Return what Optuna stores in: memory, a journal file on one host, or PostgreSQL.

    Raises:
        SearchError: the storage is none of these, or cannot be opened.
    """
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    if not url:
        return None
    scheme, is_url, rest = url.partition("://")
    if not is_url:
        return JournalStorage(JournalFileBackend(url))
    if scheme not in {"postgresql", "postgresql+psycopg"}:
        raise SearchError(
            f"--storage {scheme}://: give the path of a journal file for workers on one host, or "
            "postgresql://USER@HOST/DATABASE for workers on several; SQLite is not for several"
        )
    import sqlalchemy

    for attempt in range(_OPENINGS):
        try:
            return RDBStorage(f"postgresql+psycopg://{rest}")
        except sqlalchemy.exc.SQLAlchemyError as error:
            # Of several workers that make the tables at once, one does, and the others are told.
            raced = (sqlalchemy.exc.IntegrityError, sqlalchemy.exc.ProgrammingError)
            if not isinstance(error, raced) or attempt == _OPENINGS - 1:
                told = " ".join(str(error).split("\n")[0].split())
                raise SearchError(f"--storage: the database cannot be opened: {told}") from None
        time.sleep(1)
    raise AssertionError("the last attempt returns or raises")


def _suggest(trial: optuna.Trial, key: str, searched: Searched) -> Value:
    if searched.choices is not None:
        chosen = trial.suggest_categorical(key, [json.dumps(each) for each in searched.choices])
        decoded: Value = json.loads(chosen)
        return decoded
    if searched.is_whole:
        return trial.suggest_int(
            key,
            int(searched.low or 0),
            int(searched.high or 0),
            step=int(searched.step or 1),
            log=searched.log,
        )
    low, high = float(searched.low or 0), float(searched.high or 0)
    value = trial.suggest_float(key, low, high, step=searched.step, log=searched.log)
    return searched.plain(value)


def _distribution(searched: Searched) -> optuna.distributions.BaseDistribution:
    from optuna import distributions

    if searched.choices is not None:
        return distributions.CategoricalDistribution(
            [json.dumps(each) for each in searched.choices]
        )
    low, high = searched.low or 0, searched.high or 0
    if searched.is_whole:
        step = int(searched.step or 1)
        return distributions.IntDistribution(int(low), int(high), log=searched.log, step=step)
    return distributions.FloatDistribution(low, high, log=searched.log, step=searched.step)


def _encode(value: Value, searched: Searched) -> Any:
    return json.dumps(value) if searched.choices is not None else value
