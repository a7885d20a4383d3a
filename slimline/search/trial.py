"""What is run for one trial, and the record that comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slimline.pruning import record as pruning_record
from slimline.repository import experiments
from slimline.search import experiment, judgement, latency, records, space
from slimline.search.experiment import Ran, StageError
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
        ExperimentError: the machine or DVC failed: this is no result, and nothing is kept.
    """
    begun = time.monotonic()
    trial = space.name(settings)
    name = f"{experiments.SEARCH}{bench.study}-{records.run_name(trial, seed)}"
    values = {**settings, **({} if seed is None else {"seed": seed})}
    found: dict[str, Any] = {"state": "complete"}
    ran = Ran(commit=bench.base)
    refused = bench.refuse(space.with_settings(bench.written, values))
    if refused:
        found |= {"state": "refused", "reason": refused[0]}
    else:
        try:
            found |= _run(bench, name, values, ran, is_stoppable=seed is None)
        except StageError as error:
            found |= {"state": "failed", "reason": str(error)}
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
    records.write(record, parent=ran.commit)
    if not record.experiment:
        # Else `dvc exp show` had it with the figures of the commit that it began from.
        experiment.forget(name)
    return record


def _run(
    bench: Bench, name: str, values: Settings, ran: Ran, *, is_stoppable: bool
) -> dict[str, Any]:
    """Run up to the model that is quantized, and if it is worth it up to the product."""
    variants, search = bench.variants, bench.search
    baseline, product = (f"evaluate@{each}" for each in (variants.baseline, variants.product))
    figures: dict[str, float] = {}

    def go_on(*targets: str) -> None:
        done = experiment.run(name, values, bench.written, targets, is_pulling=bench.is_pulling)
        ran.add(done)

    def take_time() -> None:
        """Read what the table says of the pruned model; QAT and export leave its widths alone."""
        if search.needs_latency:
            pruned = experiment.described_model(ran.commit, variants[variants.product].parent)
            figures["latency_ms"] = latency.milliseconds(pruning_record.layers(pruned))

    if is_stoppable and search.recovers is not None:
        go_on(variants[variants.product].parent)
        figures |= experiment.pruned_figures(ran.commit, variants)
        take_time()
        hopeless = judgement.hopeless(figures, search)
        if hopeless:
            return {"state": "stopped", "reason": hopeless, "figures": figures}
    go_on(product, baseline)
    figures |= experiment.product_figures(ran.commit, variants)
    take_time()
    return {"figures": figures}
