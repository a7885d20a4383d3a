"""What is run for one trial, and the record that comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from slimline.pruning import record as pruning_record
from slimline.repository import experiments
from slimline.search import experiment, judgement, latency, records, space
from slimline.search.experiment import Check, Described, Ran, StageError, StageKilledError
from slimline.search.records import Record
from slimline.search.settings import SearchParams
from slimline.search.space import Settings
from slimline.variants import Variants


@dataclass(frozen=True)
class Bench:
    """What all trials of a study share."""

    search: SearchParams
    written: Mapping[str, Any]
    """Content of `params.yaml`, as it is committed."""
    study: str
    base: str
    """The commit that experiments are of."""
    variants: Variants
    refuse: Callable[[Mapping[str, Any]], Sequence[str]]
    worker: str = ""
    is_pulling: bool = False
    """Whether stages that other machines ran are taken from the DVC remote."""


def run(bench: Bench, settings: Settings, number: int, seed: int | None = None) -> Record:
    """Run settings, with another seed where one is given, and keep what came of it.

    Raises:
        ExperimentError: the machine or DVC failed: this is no result, and nothing is kept; but a
            trial of which a stage was killed twice has failed.
    """
    begun = time.monotonic()
    trial = space.name(settings)
    name = f"{experiments.SEARCH}{bench.study}-{records.run_name(trial, seed)}"
    values = {**settings, **({} if seed is None else {"seed": seed})}
    found: dict[str, Any] = {"state": "complete"}
    ran = Ran()
    refused = bench.refuse(space.with_settings(bench.written, values))
    if refused:
        found |= {"state": "refused", "reason": refused[0]}
    else:
        try:
            ran, came_of_it = _run(bench, name, values, is_stoppable=seed is None)
            found |= came_of_it
            _mark(name).unlink(missing_ok=True)
        except StageError as error:
            ran, found = error.ran, {"state": "failed", "reason": str(error)}
        except StageKilledError as error:
            # Once may be chance; settings that need too much memory would stop each search.
            if not _was_killed_before(name):
                raise
            found = {"state": "failed", "reason": f"twice {error}"}
    record = Record(
        study=bench.study,
        trial=trial,
        number=number,
        settings=settings,
        base=bench.base,
        seed=seed,
        seconds=ran.seconds,
        reused=ran.reused,
        total_seconds=round(time.monotonic() - begun, 1),
        worker=bench.worker,
        experiment=name if found["state"] == "complete" else "",
        **found,
    )
    records.write(record, parent=ran.commit or bench.base)
    return record


def _was_killed_before(name: str) -> bool:
    """Say whether a trial was killed on this machine before, and remember that it was now."""
    is_known = _mark(name).exists()
    _mark(name).touch()
    return is_known


def _mark(name: str) -> Path:
    return experiment.LOGS / f"{name}.killed"


def _run(
    bench: Bench, name: str, values: Settings, *, is_stoppable: bool
) -> tuple[Ran, dict[str, Any]]:
    """Run up to the product, or to the model that is quantized if the rest isn't worth it."""
    variants, search = bench.variants, bench.search
    parent = variants[variants.product].parent
    figures: dict[str, float] = {}

    def take_time(described: Described) -> None:
        """Read what the table says of the pruned model; QAT and export leave its widths alone."""
        if search.needs_latency:
            layers = pruning_record.layers(described(parent))
            figures["latency_ms"] = latency.milliseconds(layers)

    def why_not(described: Described) -> str:
        figures.update(experiment.pruned_figures(described, variants))
        take_time(described)
        return judgement.hopeless(figures, search)

    is_checked = is_stoppable and search.recovers is not None
    ran = experiment.run(
        name,
        values,
        bench.written,
        [f"evaluate@{each}" for each in (variants.baseline, variants.product)],
        bench.base,
        check=Check(parent, why_not) if is_checked else None,
        is_pulling=bench.is_pulling,
    )
    if ran.stopped:
        return ran, {"state": "stopped", "reason": ran.stopped, "figures": figures}
    figures |= experiment.product_figures(ran.commit, variants)
    take_time(partial(experiment.described_model, ran.commit))
    return ran, {"figures": figures}
