"""Gather experiments that differ in `seed` alone: mean and spread, and what survives the noise.

  dvc exp run --queue -S seed=2,3,4,5 && dvc exp run --run-all
  python -m slimline seeds

prints for each setting that was trained with 3 seeds or more the mean of the product's accuracy and
the standard deviation of one training, on validation and on test; then, against the workspace's
setting, whether the difference is beyond that noise on validation (Welch's t, 95 %). The splits
stay the same, since their seed is data.seed. A commit whose params were merged without a run has
the figures of those before, and is left out.

With --write, the spread of the workspace's setting goes into data/training_noise.json. Commit it:
`gate` and `diff` then add that noise wherever the base's model and this one were trained anew.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from math import isinf
from typing import TYPE_CHECKING

from slimline.commands import _over_experiments

if TYPE_CHECKING:
    from slimline.report.seeds import Setting

_OTHER = "other code or images"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    _over_experiments.add_arguments(parser)
    parser.add_argument(
        "--write",
        action="store_true",
        help="write the spread of the workspace's setting into data/training_noise.json",
    )


def run(arguments: Namespace) -> int:
    """Print both tables."""
    from slimline import variants
    from slimline.errors import ArtifactError
    from slimline.measure import training_noise
    from slimline.report import seeds
    from slimline.repository import commit_results, experiments

    shown = _over_experiments.shown(arguments)
    product = variants.read().product
    commits = experiments.commits(shown, seeds.figures(product))
    merged = {name: commit_results.not_of_a_run(commit) for name, commit in commits.items()}
    merged = {name: told for name, told in merged.items() if told}
    for name, told in merged.items():
        print(f"{name} is left out, its figures are not of its params: {told}", file=sys.stderr)
    found = seeds.gather(shown, product, merged)
    repeated = [each for each in found if each.is_repeated]
    if not repeated:
        raise ArtifactError(
            f"no setting was trained with {training_noise.FEWEST_SEEDS} seeds or more; "
            "`dvc exp run --queue -S seed=2,3,4 && dvc exp run --run-all` does"
        )
    first = found[0]
    _print_settings(repeated, first)
    if first.is_repeated:
        _print_differences(first, [each for each in repeated if each is not first])
    single = len(found) - len(repeated)
    if single:
        print(f"{single} settings with fewer seeds are left out", file=sys.stderr)
    if arguments.write:
        if not first.is_repeated:
            raise ArtifactError(
                f"the workspace's setting has {len(first.seeds)} of the "
                f"{training_noise.FEWEST_SEEDS} seeds that --write needs; run it with others"
            )
        noise = training_noise.of(first.test, first.params)
        if noise.deviation == 0:
            raise ArtifactError(
                f"all {noise.seeds} seeds answer alike, which is no noise to go by; --write needs "
                "more images or more seeds"
            )
        training_noise.write(commit_results.TRAINING_NOISE, noise)
        print(f"wrote {commit_results.TRAINING_NOISE}; commit it", file=sys.stderr)
    return 0


def _print_settings(repeated: list[Setting], first: Setting) -> None:
    from slimline.measure import training_noise
    from slimline.report import number_formatting as fmt
    from slimline.report import seeds

    rows = [
        [
            _named(each, first, seeds.differing(first, each)),
            str(len(each.seeds)),
            *(
                f"{fmt.percent(sum(top1) / len(top1))} (sd {training_noise.deviation(top1):.2f})"
                for top1 in (each.validation, each.test)
            ),
        ]
        for each in repeated
    ]
    print(fmt.table(["setting", "seeds", "validation", "test"], rows))


def _print_differences(first: Setting, others: list[Setting]) -> None:
    from slimline.measure import training_noise
    from slimline.report import number_formatting as fmt
    from slimline.report import seeds

    for each in others:
        found = training_noise.compare(first.validation, each.validation)
        verdict = "beyond" if found.is_beyond_noise else "within"
        bounds = f"{fmt.points(found.low)} to {fmt.points(found.high)}"
        told = f"({bounds}), {verdict} the noise of training"
        if isinf(found.low):
            told = "(cannot be told from noise: the seeds of either setting answer alike)"
        name = _named(each, first, seeds.differing(first, each))
        print(f"{name}: {fmt.points(found.points)} points {told}")


def _named(each: Setting, first: Setting, differing: list[str]) -> str:
    from slimline.report import number_formatting as fmt

    return fmt.cell(each.sources[0] if each is first else ", ".join(differing) or _OTHER)
