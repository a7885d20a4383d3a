"""Does the sampler of a search find more than chance does, at the same number of trials?

    python -m benchmarks.search record       # a quarter of an hour on one idle core
    python -m benchmarks.search --trials 25  # replays benchmarks/search_trials.tsv, a minute

`record` prunes a small network, trained on 6,000 images of the default set, in every way that the
space has, and recovers it on 1,500: what the table has of each trial is accuracy on 1,000
validation images and MACs. A replay lets the samplers search that table as `python -m slimline
search` does, proposals, limits and all, with other seeds: fewest MACs within a limit on accuracy.
Printed is the median over seeds of the best that each finds, from the luckiest to the unluckiest.
"""

import argparse
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from slimline import files, params, schema
from slimline.report import number_formatting as fmt
from slimline.search import judgement, space
from slimline.search.records import Record
from slimline.search.settings import SearchParams
from slimline.search.space import Settings
from slimline.search.study import Study

TABLE = Path("benchmarks/search_trials.tsv")
PREPARED = Path("data/prepared")
SPACE: Mapping[str, Any] = {
    "prune.method": {"choices": ["structured_magnitude", "taylor"]},
    "prune.threshold": {"low": 0.1, "high": 0.8, "step": 0.1},
    "prune.recover.epochs": {"low": 0.5, "high": 1.0, "step": 0.5},
    "prune.recover.learning_rate": {"choices": [0.0006, 0.006]},
}
FEWER = {"train": 6000, "calibration": 256, "validation": 1000}
RECOVERED_ON = 1500
LIMITS = (10.0, 15.0, 20.0, 30.0)
"""Percentage points of accuracy that may be lost: so little recovery leaves much to lose."""

SAMPLERS = ("tpe", "random")


def main() -> None:
    """Record or replay."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["replay", "record"], default="replay")
    parser.add_argument("--trials", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args()
    if given.what == "record":
        record()
    else:
        table = read()
        found = {each: replay(table, each, given.trials, given.seeds) for each in LIMITS}
        print(report(found, given.trials))


def search(max_drop: float = LIMITS[0], **changes: Any) -> SearchParams:
    """Return section `search` of the space of the table, every limit but one off."""
    written = params.read(params.PARAMS_PATH)
    limits = dict.fromkeys(written["search"]["limits"], "none") | {"max_top1_drop": max_drop}
    section = written["search"] | {"space": SPACE, "minimise": "macs_m", "limits": limits} | changes
    return schema.check_content(written | {"search": section}, params.PARAMS_PATH).search


def every() -> Iterator[dict[str, Any]]:
    """Yield all settings that the space has."""
    values = []
    for each in search().space.values():
        if each.choices is not None:
            values.append(each.choices)
        else:
            assert each.low is not None
            assert each.step is not None
            steps = range(int(each.count))
            values.append([round(each.low + step * each.step, 6) for step in steps])
    for chosen in itertools.product(*values):
        yield dict(zip(SPACE, chosen, strict=True))


def record() -> None:
    """Write a row for each, those that the table has already left as they are."""
    from slimline.data import split_files
    from slimline.networks import classifier
    from slimline.training import determinism, loop, scores

    written = params.read(params.PARAMS_PATH) | {"num_threads": 1}
    known = {space.name(settings): row for settings, row in _rows()} if TABLE.is_file() else {}
    splits = {}
    for name, count in FEWER.items():
        split = split_files.load(PREPARED / name)
        rows = slice(0, count)
        splits[name] = replace(split, images=split.images[rows], labels=split.labels[rows])
    changes: dict[str, Any] = {
        "num_threads": 1,
        "baseline_train.backbone": "shufflenet_v2_x0_5",
        "baseline_train.recipe.optimizer": "adamw",
        "baseline_train.recipe.learning_rate": 0.01,
        "baseline_train.recipe.epochs": 4,
    }
    content = schema.check_content(space.with_settings(written, changes), params.PARAMS_PATH)
    determinism.start(content)
    model = classifier.build(
        content.baseline_train, splits["train"], Path("data/raw/pretrained"), unchanged=False
    )
    fitted = loop.fit(
        model.network,
        splits["train"],
        splits["validation"],
        content.baseline_train.recipe,
        preprocessing=model.preprocessing,
        seed=content.seed,
        phase="train",
        start=scores.UNTRAINED,
    )
    rows = slice(0, RECOVERED_ON)
    train = splits["train"]
    few = replace(train, images=train.images[rows], labels=train.labels[rows])
    found = []
    for settings in every():
        row: dict[str, Any] | None = known.get(space.name(settings))
        if row is None:
            figures = _prune(model, few, splits, space.with_settings(written, settings))
            row = {**settings, "baseline_top1": fitted.kept.top1, **figures}
        found.append(row)
        files.write_table(TABLE, found)
        print(row, flush=True)


def _prune(model: Any, few: Any, splits: Mapping[str, Any], written: dict[str, Any]) -> Any:
    """Return what pruning with some settings makes of the network, which stays as it is."""
    import copy

    from slimline.pruning import rounds
    from slimline.pruning.layer_times import LayerTimes
    from slimline.pruning.sensitivity_table import SensitivityScan
    from slimline.pruning.widths import PruningTables

    changes: Settings = {
        "prune.max_drop": 100,
        "prune.channel_multiple": 4,
        "prune.recover.optimizer": "adamw",
        "prune.recover.weight_decay": 0.01,
        "prune.recover.validations": 1,
        "prune.recover.distill.weight": 0.0,
    }
    content = schema.check_content(space.with_settings(written, changes), params.PARAMS_PATH)
    outcome = rounds.prune(
        copy.deepcopy(model),
        few,
        splits["calibration"],
        splits["validation"],
        content.prune,
        teacher=model.network,
        tables=PruningTables(SensitivityScan([]), LayerTimes("", {}, [])),
        seed=content.seed,
    )
    last = outcome.account()["rounds"][-1]
    return {"top1": last["top1_recovered"], "macs_m": last["macs_m"]}


def read() -> dict[str, dict[str, float]]:
    """Return the figures of each trial in the table, by the name of its settings."""
    return {
        space.name(settings): {key: float(row[key]) for key in ("top1", "baseline_top1", "macs_m")}
        for settings, row in _rows()
    }


def _rows() -> Iterator[tuple[Settings, dict[str, str]]]:
    for row in files.read_table(TABLE):
        plain = {
            key: row[key] if key == "prune.method" else round(float(row[key]), 6) for key in SPACE
        }
        yield plain, row


def replay(
    table: Mapping[str, Mapping[str, float]], max_drop: float, trials: int, seeds: int
) -> dict[str, list[float]]:
    """Return the fewest MACs, millions, that each sampler finds with each seed."""
    found: dict[str, list[float]] = {}
    for sampler in SAMPLERS:
        for seed in range(seeds):
            wanted = search(max_drop, sampler=sampler, seed=seed, trials=trials)
            best = judgement.ranked(_run(wanted, table), wanted)
            worst = max(each["macs_m"] for each in table.values())
            found.setdefault(sampler, []).append(best[0].figures["macs_m"] if best else worst)
    return found


def _run(wanted: SearchParams, table: Mapping[str, Mapping[str, float]]) -> list[Record]:
    study, done = Study(wanted, "replay"), []
    while True:
        proposal = study.propose({each.trial for each in done})
        if proposal is None:
            return done
        done.append(
            Record(
                study="replay",
                trial=proposal.name,
                number=len(done),
                settings=proposal.settings,
                state="complete",
                base="",
                figures=table[proposal.name],
            )
        )
        study.tell(proposal, done[-1])


def report(found: Mapping[float, Mapping[str, list[float]]], trials: int) -> str:
    """Return the table of both samplers, a row for each limit."""
    rows = [
        [f"{limit:g} points", *(_summary(by_sampler[sampler]) for sampler in SAMPLERS)]
        for limit, by_sampler in found.items()
    ]
    header = [f"limit, {trials} trials", *SAMPLERS]
    return fmt.table(header, rows)


def _summary(best: list[float]) -> str:
    return f"{fmt.millions(median(best))} ({fmt.millions(min(best))} to {fmt.millions(max(best))})"


if __name__ == "__main__":
    main()
