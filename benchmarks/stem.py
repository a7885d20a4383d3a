"""Which stem should the baseline have? Each candidate trains for about the same time.

    python -m benchmarks.stem --seconds 240

prints, per candidate, the images seen in that time, validation accuracy and MACs. The rule: the
default is the stem with the best validation accuracy within the time that the default run has for
the baseline, whatever it costs at inference. Needs data/prepared (`dvc repro prepare_data`).
"""

import argparse
from pathlib import Path

from benchmarks import throughput
from slimline import params
from slimline.data import split_files
from slimline.networks import classifier
from slimline.pruning import cost
from slimline.training import determinism, loader, loop, scores
from slimline.training.baseline_train import BaselineTrainParams

PREPARED, PRETRAINED = Path("data/prepared"), Path("data/raw/pretrained")
CANDIDATES = [(3, 1), (3, 2), (7, 2)]


def main() -> None:
    """Print one line per candidate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=240, help="training time of each")
    seconds = parser.parse_args().seconds
    settings = params.load("baseline_train", BaselineTrainParams)
    train, validation = (split_files.load(PREPARED / name) for name in ("train", "validation"))
    print("kernel  stride  images seen  validation top-1  MACs (M)")
    for kernel, stride in CANDIDATES:
        determinism.start(params.load_run())
        chosen = settings.model_copy(update={"stem_kernel": kernel, "stem_stride": stride})
        probe = classifier.build(chosen, train, PRETRAINED)
        epochs = seconds * throughput.images_per_second(probe, train, chosen.recipe) / len(train)
        determinism.start(params.load_run())
        model = classifier.build(chosen, train, PRETRAINED)
        rows = _fit(model, train, validation, chosen, epochs)
        macs = cost.count(model.network, model.example).macs_m
        top1 = max(row.validation_top1 for row in rows)
        print(f"{kernel:6}  {stride:6}  {epochs * len(train):11.0f}  {top1:16.2f}  {macs:8.1f}")


def _fit(
    model: classifier.Classifier,
    train: split_files.Split,
    validation: split_files.Split,
    settings: BaselineTrainParams,
    epochs: float,
) -> list[loop.HistoryRow]:
    recipe = settings.recipe.model_copy(update={"epochs": epochs, "validations": 1})
    assert loader.num_steps(train, recipe) > 1
    fitted = loop.fit(
        model.network,
        train,
        validation,
        recipe,
        preprocessing=model.preprocessing,
        seed=params.load_run().seed,
        phase="stem",
        start=scores.UNTRAINED,
    )
    return fitted.rows


if __name__ == "__main__":
    main()
