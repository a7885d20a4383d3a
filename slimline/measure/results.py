"""All figures of one state of the repository, read from the files under `metrics/`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimline.measure import accuracy, block_times, paired_answers, variant_figures
from slimline.measure.block_times import Times
from slimline.measure.paired_answers import Paired
from slimline.measure.variant_figures import ResultsError, Variant
from slimline.variants import Variants

PREDICTIONS, BENCHMARK = "predictions", "benchmark"
"""Folders of metrics, beside `evaluate` and `latency`, which `variant_figures` reads."""

CONTROL = "prune_control.txt"
"""Among the predictions: those of the swapped model after pruning's recovery with nothing cut."""

LABELS, TEST_SPLIT, BLOCKS, RUN = "labels.txt", "test_split.json", "blocks.tsv", "run.json"

_ROUNDING = 0.001
"""Half a digit of `top1` as it is written, and what floats add."""


@dataclass(frozen=True)
class BenchmarkRun:
    """How the times were taken, see `slimline.measure.benchmark_figures.run`."""

    blocks: int
    noise: float | None
    """Percent by which the least certain speedup may be off; None with too few blocks."""
    max_noise: float
    is_noisy: bool
    load_before: float
    load_after: float
    others_cpu: float | None
    """Percent of the CPUs' time; None where the system did not tell."""


@dataclass(frozen=True)
class Results:
    """Figures, and the raw answers and times that give them their bounds."""

    declared: Variants
    variants: Mapping[str, Variant]
    predictions: Mapping[str, NDArray[np.int64]]
    """[images] of each variant: the class that it answers with."""
    labels: NDArray[np.int64]
    """[images], indices into `classes`."""
    classes: Sequence[str]
    test_sha256: str
    """Of the test images and labels; empty where a commit did not keep it."""
    blocks: Mapping[str, Times]
    run: BenchmarkRun | None
    """None where a commit did not keep it."""
    control: NDArray[np.int64] | None = None
    """[images]: the class that the control of pruning answers with; None where it was not asked
    for."""

    @property
    def product(self) -> Variant:
        """What is shipped."""
        return self.variants[self.declared.product]

    @property
    def baseline(self) -> Variant:
        """What all else is compared with."""
        return self.variants[self.declared.baseline]

    @property
    def chain(self) -> list[Variant]:
        """From the baseline to the product, as many of them as there are figures of."""
        return [self.variants[name] for name in self.declared.chain if name in self.variants]

    @property
    def answers(self) -> NDArray[np.int64]:
        """[images]: the class that the product answers with."""
        return self.predictions[self.product.name]

    def is_right(self, name: str) -> NDArray[np.bool_]:
        """Return which images a variant answers right, [images]."""
        right: NDArray[np.bool_] = self.predictions[name] == self.labels
        return right

    def paired(self, before: str, after: str) -> Paired:
        """Return what one variant wins and loses against another."""
        return paired_answers.compare(
            self.predictions[before], self.predictions[after], self.labels
        )


def load(metrics: Path, declared: Variants, *, newer: Results | None = None) -> Results:
    """Return the figures of all variants, from a folder of metrics.

    With `newer`, they are those of another commit, which may lack what is there today: then the
    labels and classes are taken over; blocks, how they were taken, variants and the hash of the
    split are left out.

    Raises:
        ResultsError: a file or figure is missing, or a prediction does not fit the labels.
    """
    predictions, benchmark = metrics / PREDICTIONS, metrics / BENCHMARK
    present = [
        declared[name]
        for name in declared
        if newer is None or (metrics / "evaluate" / f"{name}.json").is_file()
    ]
    labels_path, blocks_path, run_path = predictions / LABELS, benchmark / BLOCKS, benchmark / RUN
    is_older = newer is not None and not labels_path.is_file()
    try:
        about: dict[str, Any] = (
            {} if is_older else variant_figures.read_json(predictions / TEST_SPLIT)
        )
        found = Results(
            declared,
            variants={each.name: each for each in variant_figures.load(metrics, present)},
            predictions={each.name: _answers(predictions / f"{each.name}.txt") for each in present},
            labels=newer.labels if newer and is_older else _answers(labels_path),
            classes=newer.classes if newer and is_older else about["classes"],
            test_sha256=about.get("sha256", ""),
            blocks=block_times.read(blocks_path) if newer is None or blocks_path.is_file() else {},
            run=_run(run_path) if newer is None or run_path.is_file() else None,
            control=_control(predictions / CONTROL),
        )
    except FileNotFoundError as error:
        raise ResultsError(f"{error.filename}: is missing; run `dvc repro`") from None
    if not is_older:
        _check(found, predictions)
    return found


def _run(path: Path) -> BenchmarkRun:
    content = variant_figures.read_json(path)
    try:
        return BenchmarkRun(**content)
    except TypeError as error:
        raise ResultsError(f"{path}: is of another version; run `dvc repro`: {error}") from None


def _control(path: Path) -> NDArray[np.int64] | None:
    answers = _answers(path) if path.is_file() else np.array([], np.int64)
    return answers if len(answers) else None


def _answers(path: Path) -> NDArray[np.int64]:
    try:
        return accuracy.read_predictions(path)
    except ValueError as error:
        raise ResultsError(f"{path}: is no list of class numbers: {error}") from None


def _check(found: Results, predictions: Path) -> None:
    """Compare the predictions with the scores: files of two runs must not be mixed."""
    if found.control is not None and len(found.control) != len(found.labels):
        raise ResultsError(
            f"{predictions / CONTROL}: has {len(found.control)} answers for "
            f"{len(found.labels)} labels; run `dvc repro`"
        )
    for name, answers in found.predictions.items():
        path = predictions / f"{name}.txt"
        if len(answers) != len(found.labels):
            raise ResultsError(
                f"{path}: has {len(answers)} answers for {len(found.labels)} labels; "
                "run `dvc repro`"
            )
        scored = 100 * float(found.is_right(name).mean())
        told = found.variants[name].top1
        if not abs(scored - told) <= _ROUNDING:  # NaN is no score
            raise ResultsError(
                f"{path}: {scored:.3f} % of the answers are right, the figures say {told:.3f} %; "
                "run `dvc repro`"
            )
