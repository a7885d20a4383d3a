"""What is left of each gain when nobody is short of training? Every network until it gains no more.

    python -m benchmarks.fair train --folder /somewhere
    python -m benchmarks.fair train --folder /other --images 6000 --seeds 1 2 --most 1
    python -m benchmarks.fair table --folder /somewhere

In the default run the chain sees more images than the baseline, so that its accuracy is the effect
of compression and of more training together. Here the baseline, the swapped network (alone, and
with the baseline as its teacher), the pruned one and its control (the same recovery with nothing
cut) are trained for the epochs of params.yaml, for twice as many, four times as many and so on,
each time from the beginning, until doubling brings less than `--gain` points on validation: the
plateau. What comes later in the chain begins with the plateaus of what comes before.

`table` prints mean and standard deviation over seeds. Validation decides where a plateau is; the
test split is looked at once, for the table. `--images` takes the first so many of the training
images, `--held-out` of those of validation and test, `--most` bounds the doublings, and the table
says which plateaus were not reached. Each
training that has ended stays in the folder, in that of the network that it began with or learnt
from, and an interrupted run, or one with more doublings, goes on. It needs data/prepared
(`dvc repro prepare_data`); the whole of it takes hours on two cores, a tenth of the images a tenth.
"""

import argparse
import copy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slimline import files, params
from slimline.artifacts import model_folder
from slimline.data import split_files
from slimline.data.split_files import Split
from slimline.measure import training_noise
from slimline.networks import classifier
from slimline.networks.classifier import Classifier
from slimline.pruning import registry, rounds, widths
from slimline.training import backbone_swap, determinism, loop, scores
from slimline.training.backbone_swap import BackboneSwapParams
from slimline.training.baseline_train import BaselineTrainParams
from slimline.training.settings import Recipe

PREPARED, PRETRAINED = Path("data/prepared"), Path("data/raw/pretrained")
SCORE = "score.json"
BASELINE, ALONE, TAUGHT, PRUNED, CONTROL = (
    "baseline",
    "swapped, alone",
    "swapped, taught",
    "pruned",
    "control: nothing cut",
)
NAMES = (BASELINE, ALONE, TAUGHT, PRUNED, CONTROL)
_UNTAUGHT = {"weight": 0.0}


@dataclass(frozen=True)
class Trained:
    """A network after a training that has ended."""

    folder: Path
    times: int
    """By which the epochs of params.yaml were multiplied."""
    images: int
    """Training images that its weights saw from their beginning on, each counted every time."""
    validation: float
    """Percent right."""
    test: float
    is_plateau: bool = False
    """Whether twice as much training was tried and brought no more than `--gain`."""

    def load(self) -> Classifier:
        """Return the network."""
        return model_folder.load(self.folder)


@dataclass(frozen=True)
class Bench:
    """What all trainings of one seed share."""

    folder: Path
    seed: int
    gain: float
    """Points on validation that doubling must bring to be worth another one."""
    most: int
    """Doublings, at most."""
    train: Split
    calibration: Split
    validation: Split
    test: Split

    def plateau(
        self,
        name: str,
        make: Callable[[int], tuple[Classifier, int, Any]],
        *,
        source: Trained | None = None,
    ) -> Trained:
        """Return the best of a network over doublings; `make` is given how many times the epochs.

        It returns the network, how many images its weights saw, and its settings. `source` is
        what else the network comes from.
        """
        begun = source.folder if source else self.folder / f"seed-{self.seed}"
        folder = begun / name.partition(":")[0]
        best = self._trained(folder, name, 1, make)
        for doubling in range(1, self.most + 1):
            found = self._trained(folder, name, 2**doubling, make)
            if not found.validation - best.validation >= self.gain:
                better = found if found.validation > best.validation else best
                return Trained(**vars(better) | {"is_plateau": True})
            best = found
        return best

    def _trained(
        self,
        of_network: Path,
        name: str,
        times: int,
        make: Callable[[int], tuple[Classifier, int, Any]],
    ) -> Trained:
        folder = of_network / str(times)
        if not (folder / SCORE).is_file():
            print(f"seed {self.seed}: {name}, {times} times", file=sys.stderr, flush=True)
            determinism.start(params.load_run().model_copy(update={"seed": self.seed}))
            model, images, settings = make(times)
            model_folder.save(folder, model, data=self.train, settings=settings, with_onnx=False)
            scores = {
                split: loop.measure(model.network, images_of, model.preprocessing).top1
                for split, images_of in (("validation", self.validation), ("test", self.test))
            }
            files.write_json(folder / SCORE, {"times": times, "images": images, **scores})
        return Trained(folder, **files.read_json(folder / SCORE))


def main() -> None:
    """Train what is missing, or print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["train", "table"])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--images", type=int, default=0, help="of the training split; 0: all")
    parser.add_argument("--held-out", type=int, default=0, help="of validation, of test; 0: all")
    parser.add_argument("--gain", type=float, default=0.2, help="points that doubling must bring")
    parser.add_argument("--most", type=int, default=4, help="doublings")
    given = parser.parse_args()
    if given.what == "train":
        train, calibration, validation, test = (
            _first(split_files.load(PREPARED / name), count)
            for name, count in (
                ("train", given.images),
                ("calibration", 0),
                ("validation", given.held_out),
                ("test", given.held_out),
            )
        )
        for seed in given.seeds:
            bench = Bench(
                given.folder, seed, given.gain, given.most, train, calibration, validation, test
            )
            found = {name: vars(each) for name, each in _chain(bench)}
            files.write_json(
                given.folder / f"seed-{seed}.json",
                {name: each | {"folder": str(each["folder"])} for name, each in found.items()},
            )
    _print(given.folder)


def _first(split: Split, count: int) -> Split:
    if not count:
        return split
    return Split(
        split_files.take(split.images, np.arange(count)),
        split.labels[:count],
        split.classes,
        split.preprocessing,
    )


def _chain(bench: Bench) -> Iterator[tuple[str, Trained]]:
    """Yield every network at its plateau; the later ones begin with the earlier."""
    baseline = bench.plateau(BASELINE, lambda times: _baseline(bench, times))
    yield BASELINE, baseline
    teacher = baseline.load()
    yield ALONE, bench.plateau(ALONE, lambda times: _swapped(bench, teacher, times, taught=False))
    taught = bench.plateau(
        TAUGHT, lambda times: _swapped(bench, teacher, times, taught=True), source=baseline
    )
    yield TAUGHT, taught
    pruned = bench.plateau(
        PRUNED, lambda times: _pruned(bench, taught, teacher, times), source=taught
    )
    yield PRUNED, pruned
    # As much recovery as the pruned network had, be that enough or not.
    fixed = Bench(**vars(bench) | {"most": 0})
    control = fixed.plateau(
        CONTROL,
        lambda _: _pruned(bench, taught, teacher, pruned.times, is_control=True),
        source=pruned,
    )
    yield CONTROL, Trained(**vars(control) | {"times": pruned.times, "is_plateau": True})


def _longer(recipe: Recipe, times: int, **others: Any) -> Recipe:
    return recipe.model_copy(update={"epochs": recipe.epochs * times, **others})


def _baseline(bench: Bench, times: int) -> tuple[Classifier, int, Any]:
    settings = params.load("baseline_train", BaselineTrainParams)
    model = classifier.build(settings, bench.train, PRETRAINED, unchanged=False)
    fitted = loop.fit(
        model.network, bench.train, bench.validation, _longer(settings.recipe, times),
        preprocessing=model.preprocessing, seed=bench.seed, phase="train",
        start=scores.UNTRAINED if model.pretrained is None else None,
    )  # fmt: skip
    return model, _seen(fitted.rows), settings


def _swapped(
    bench: Bench, teacher: Classifier, times: int, *, taught: bool
) -> tuple[Classifier, int, Any]:
    settings = params.load("backbone_swap", BackboneSwapParams)
    distill = settings.unfrozen.distill
    asked = distill if taught else distill.model_copy(update=_UNTAUGHT)
    unfrozen = _longer(settings.unfrozen, times, distill=asked)
    settings = settings.model_copy(update={"unfrozen": unfrozen})
    model, fitted, _ = backbone_swap.swap(
        teacher, bench.train, bench.validation, settings,
        weights_folder=PRETRAINED, seed=bench.seed,
    )  # fmt: skip
    return model, _seen(fitted.rows), settings


def _pruned(
    bench: Bench,
    source: Trained,
    baseline: Classifier,
    times: int,
    is_control: bool = False,
) -> tuple[Classifier, int, Any]:
    settings = registry.load(params.PARAMS_PATH)
    if is_control:
        settings = settings.as_control(settings.steps)
    recovery = {"recover": _longer(settings.recover, times), "max_drop": 100.0}
    settings = settings.model_copy(update=recovery)
    model = source.load()
    teacher = baseline if settings.teacher == "baseline_train" else copy.deepcopy(model)
    outcome = rounds.prune(
        model, bench.train, bench.calibration, bench.validation, settings,
        teacher=classifier.adapted(teacher, model.preprocessing), tables=widths.NO_TABLES,
        seed=bench.seed,
    )  # fmt: skip
    return outcome.model, source.images + _seen(outcome.history), settings


def _seen(rows: Sequence[loop.HistoryRow]) -> int:
    return sum({row.phase: row.images for row in rows}.values())


def _print(folder: Path) -> None:
    """Print a line of Markdown per network, over all seeds that have ended."""
    seeds: list[Mapping[str, Any]] = [
        files.read_json(path) for path in sorted(folder.glob("seed-*.json"))
    ]
    print(f"{len(seeds)} seeds, mean (standard deviation)\n")
    print("| network | times the epochs | images seen | validation | test | points of test |")
    print("|---|---|---:|---:|---:|---:|")
    for name in NAMES:
        rows = [seed[name] for seed in seeds]
        lost = [seed[name]["test"] - seed[BASELINE]["test"] for seed in seeds]
        times = ", ".join(
            f"{row['times']}{'' if row['is_plateau'] else ' (no plateau yet)'}" for row in rows
        )
        cells = [
            name,
            times,
            f"{np.mean([row['images'] for row in rows]):,.0f}",
            *(_spread([row[split] for row in rows]) for split in ("validation", "test")),
            "" if name == BASELINE else _spread(lost, sign="+"),
        ]
        print(f"| {' | '.join(cells)} |")


def _spread(values: Sequence[float], sign: str = "") -> str:
    mean = f"{np.mean(values):{sign}.2f}"
    return f"{mean} ({training_noise.deviation(values):.2f})" if len(values) > 1 else mean


if __name__ == "__main__":
    main()
