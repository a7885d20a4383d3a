"""Does a gate on accuracy pass what it should, and fail what it should? By simulation.

  python -m benchmarks.gate_noise

draws test results of a model that is exactly as bad as the limit allows: with `burden: refute` it
must not fail often, and with `burden: prove` it must not pass often, since any model that is worse
passes less often still. Then of one that is as good as the baseline: how often is that proven? The
gates on recall are drawn with classes of very different sizes, of which one stands at the limit of
what a class may lose, or all. The verdicts are those of `slimline.report.gates`, at
`confidence: 95`; nothing is trained, it takes a minute.
"""

import argparse
from collections.abc import Sequence
from functools import cache

import numpy as np

from slimline.measure import significance
from slimline.measure.paired_answers import Paired
from slimline.report import gates
from slimline.report.gates import Burden, Figure, Gate

SURE = 0.95
COUNTS = (200, 2_000, 10_000)
LIMIT = 0.5
"""Points, as of `max_top1_drop` and `max_top1_loss`."""
CHANGED = (0.01, 0.06, 0.15)
"""Shares of images that two models answer differently, one right and the other wrong."""
TOP1 = (60.0, 90.0, 99.0)
"""Percent, of a model that stands exactly at `min_top1`."""

SHARES = (0.4, 0.3, 0.2, 0.05, 0.03, 0.02)
"""Of the test images, by class."""
RECALLS = (0.98, 0.95, 0.9, 0.9, 0.8, 0.6)
"""Of the classes, their mean exactly at `min_mean_recall`."""
DROP = 10.0
"""Points, as of `max_recall_drop`."""
_FEWER = 20
"""Times fewer draws of gates on recall, which take that much longer."""


@cache
def paired_verdict(count: int, won: int, lost: int, burden: Burden) -> str:
    """Return the verdict on a loss of at most `LIMIT`, by the images that changed sides."""
    compared = Paired(count, count - won, count - lost, won, lost)
    low, high = compared.gain_bounds(SURE, is_cautious=True)
    figure = Figure(-compared.gain, -high, -low)
    return Gate("max_top1_drop", "", "", LIMIT, figure, "", burden).verdict


@cache
def single_verdict(count: int, right: int, limit: float, burden: Burden) -> str:
    """Return the verdict on an accuracy of at least `limit`."""
    low, high = significance.clopper_pearson(right, count, SURE)
    figure = Figure(100 * right / count, 100 * low, 100 * high)
    return Gate("min_top1", "", "", limit, figure, "", burden).verdict


def paired_share(
    rng: np.random.Generator, draws: int, count: int, changed: float, loss: float, burden: Burden
) -> float:
    """Return the percent of draws that a gate keeps, of a model that loses so many points."""
    lost = (changed + loss / 100) / 2
    found = rng.multinomial(count, [changed - lost, lost, 1 - changed], draws).tolist()
    return _share([paired_verdict(count, won, lost, burden) for won, lost, _ in found])


def single_share(
    rng: np.random.Generator, draws: int, count: int, top1: float, burden: Burden
) -> float:
    """Return the percent of draws that a gate keeps, of a model that is exactly at the limit."""
    found = rng.binomial(count, top1 / 100, draws).tolist()
    return _share([single_verdict(count, right, top1, burden) for right in found])


def recall_share(
    rng: np.random.Generator, draws: int, count: int, recalls: Sequence[float], burden: Burden
) -> float:
    """Return the percent of draws that `min_mean_recall` keeps where the mean is at the limit."""
    counts = [max(1, round(count * share)) for share in SHARES]
    limit = 100 * float(np.mean(recalls))
    verdicts = []
    for right in rng.binomial(counts, recalls, (draws, len(counts))).tolist():
        figure = gates.mean_recall(list(zip(right, counts, strict=True)), len(counts), SURE)
        verdicts.append(Gate("min_mean_recall", "", "", limit, figure, "", burden).verdict)
    return _share(verdicts)


def drop_share(
    rng: np.random.Generator, draws: int, count: int, lost: Sequence[float], burden: Burden
) -> float:
    """Return the percent of draws that `max_recall_drop` keeps, by points that classes lose."""
    verdicts = []
    for _ in range(draws):
        classes = []
        for share, points in zip(SHARES, lost, strict=True):
            images = max(1, round(count * share))
            changed = max(CHANGED[1], points / 100)
            down = (changed + points / 100) / 2
            won, lost_images, _ = rng.multinomial(images, [changed - down, down, 1 - changed])
            classes.append(Paired(images, 0, 0, int(won), int(lost_images)))
        figure = gates.recall_drop(classes, SURE)
        verdicts.append(Gate("max_recall_drop", "", "", DROP, figure, "", burden).verdict)
    return _share(verdicts)


def _share(verdicts: Sequence[str]) -> float:
    return 100 * sum(each in ("kept", "within noise") for each in verdicts) / len(verdicts)


def main(draws: int) -> None:
    """Print a table."""
    rng = np.random.default_rng(0)
    print("| gate | images | of a model at the limit: refute fails | prove passes | as good |")
    print("|---|---:|---:|---:|---:|")
    for count in COUNTS:
        for changed in CHANGED:
            fails = 100 - paired_share(rng, draws, count, changed, LIMIT, "refute")
            passes = paired_share(rng, draws, count, changed, LIMIT, "prove")
            good = paired_share(rng, draws, count, changed, 0, "prove")
            name = f"loss of {LIMIT:g}, {100 * changed:g} % change sides"
            print(f"| {name} | {count:,} | {fails:.1f} % | {passes:.1f} % | {good:.1f} % |")
        for top1 in TOP1:
            fails = 100 - single_share(rng, draws, count, top1, "refute")
            passes = single_share(rng, draws, count, top1, "prove")
            print(f"| top-1 of {top1:g} % | {count:,} | {fails:.1f} % | {passes:.1f} % | |")
        few = draws // _FEWER
        fails = 100 - recall_share(rng, few, count, RECALLS, "refute")
        passes = recall_share(rng, few, count, RECALLS, "prove")
        print(f"| mean recall of 6 classes | {count:,} | {fails:.1f} % | {passes:.1f} % | |")
        for name, at_limit in (("rarest class", SHARES[-1:]), ("every class", SHARES)):
            lost = [DROP if share in at_limit else 0.0 for share in SHARES]
            fails = 100 - drop_share(rng, few, count, lost, "refute")
            passes = drop_share(rng, few, count, lost, "prove")
            good = drop_share(rng, few, count, [0.0] * len(SHARES), "prove")
            told = f"| recall drop of {DROP:g}, {name} | {count:,} | {fails:.1f} % "
            print(f"{told}| {passes:.1f} % | {good:.1f} % |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=20_000)
    main(parser.parse_args().draws)
