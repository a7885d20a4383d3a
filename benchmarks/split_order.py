"""What do the figures of pruning say of photos in the order of their classes, and in a random one?

    python -m benchmarks.split_order PHOTOS --per-class 300

takes so many photos of each class of the folder PHOTOS, one folder a class, makes splits of them as
`prepare_data` does, trains the network `--backbone` from scratch by the recipe of section
`baseline_train`, and measures twice what users decide by: the accuracy once BatchNorm statistics
are recomputed, as after each cut, and what each layer loses with half of its importance. "By
class" are the same images in the order in which splits of photos were stored until November 2026,
"random" is the one of `prepare_data`. A scan looks at the first `--images` of validation; beside it
stands what all of them say.
"""

import argparse
import copy
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from slimline import params
from slimline.data import split_files, splitting
from slimline.data.split_files import Split
from slimline.networks import classifier
from slimline.networks.classifier import Classifier
from slimline.pruning import batchnorm_statistics, registry, sensitivity
from slimline.pruning.sensitivity_table import GroupSensitivity
from slimline.pruning.settings import SensitivityParams
from slimline.training import determinism, loop
from slimline.training.baseline_train import BaselineTrainParams

SHARE = 0.5


def main() -> None:
    """Print what both orders say, then a table of the layers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--per-class", type=int, default=300)
    parser.add_argument("--images", type=int, default=200, help="of validation, for a scan")
    parser.add_argument("--backbone", default="resnet8_w48")
    parser.add_argument("--epochs", type=float, default=8)
    given = parser.parse_args()
    determinism.start(params.load_run())
    with tempfile.TemporaryDirectory() as folder:
        parts = splits(given.photos, Path(folder), given.per_class)
        model = trained(parts["train"], parts["validation"], given.backbone, given.epochs)
        calibration, validation = parts["calibration"], parts["validation"]
        print(f"{len(validation)} validation images, {top1(model, validation):.1f} % right")
        orders = {"by class": (by_class(calibration), by_class(validation))}
        orders |= {"random": (calibration, validation)}
        scans = {}
        for name, (ranging, judged) in orders.items():
            classes = len(set(judged.labels[: given.images].tolist()))
            recomputed = model.with_network(copy.deepcopy(model.network))
            batchnorm_statistics.recompute(recomputed, ranging)
            print(
                f"{name}: {classes} classes among the first {given.images}; with BatchNorm "
                f"statistics of {len(ranging)} calibration images, nothing cut, "
                f"{top1(recomputed, validation):.1f} % right"
            )
            scans[name] = scan(model, ranging, judged, given.images)
        scans["all images"] = scan(model, calibration, validation, 0)
    print_table(scans)


def splits(photos: Path, folder: Path, per_class: int) -> dict[str, Split]:
    """Return the splits of the first photos of each class, linked into the folder."""
    classes = sorted(path for path in photos.iterdir() if path.is_dir())
    for source in classes:
        target = folder / "photos" / source.name
        target.mkdir(parents=True)
        for path in sorted(source.iterdir())[:per_class]:
            (target / path.name).symlink_to(path.resolve())
    count = len(classes) * per_class
    settings = params.load("data", splitting.DataParams).model_copy(
        update={
            "source": "photos",
            "image_size": 32,
            "validation_images": count // 4,
            "calibration_images": 1000,
            "test_images": count // 10,
        }
    )
    return splitting.prepare(folder, settings, seed=settings.seed, scratch=folder)


def trained(train: Split, validation: Split, backbone: str, epochs: float) -> Classifier:
    """Return a network, trained from scratch."""
    settings = params.load("baseline_train", BaselineTrainParams)
    settings = settings.model_copy(update={"backbone": backbone})
    model = classifier.build(settings, train, Path("data/raw/pretrained"))
    recipe = settings.recipe.model_copy(update={"epochs": epochs})
    loop.fit(
        model.network,
        train,
        validation,
        recipe,
        preprocessing=model.preprocessing,
        seed=params.load_run().seed,
        phase="train",
    )
    return model


def by_class(split: Split) -> Split:
    """Return the same images in the order of their classes."""
    rows = np.argsort(split.labels, kind="stable")
    return replace(split, images=split_files.take(split.images, rows), labels=split.labels[rows])


def top1(model: Classifier, split: Split) -> float:
    """Return percent right."""
    return loop.measure(model.network, split, model.preprocessing).top1


def scan(
    model: Classifier, calibration: Split, validation: Split, images: int
) -> list[GroupSensitivity]:
    """Return what each layer loses, by the first images of validation; all of them for 0."""
    settings = SensitivityParams(shares=[SHARE], images=images)
    method = registry.load(params.PARAMS_PATH)
    return sensitivity.scan(model, calibration, validation, settings, method)


def print_table(scans: dict[str, list[GroupSensitivity]]) -> None:
    """Print a line per layer, and how far each scan is from that of all images."""
    print(f"\n| layers | {' | '.join(f'{name}: points lost' for name in scans)} |")
    print(f"|---|{'---:|' * len(scans)}")
    for rows in zip(*scans.values(), strict=True):
        print(f"| {rows[0].layers} | {' | '.join(f'{row.lost:.1f}' for row in rows)} |")
    truth = np.array([row.lost for row in scans["all images"]])
    errors = [np.abs(np.array([row.lost for row in rows]) - truth) for rows in scans.values()]
    print(f"| mean difference from all images | {' | '.join(f'{e.mean():.1f}' for e in errors)} |")


if __name__ == "__main__":
    main()
