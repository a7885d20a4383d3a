"""Does training wait for its images? Measured for the embedded set and for a folder of JPEGs.

    python -m benchmarks.data_loading

prints, per set and number of loader workers, the images per second of the loader alone and of
training with the default backbone, and the share of training's time that it waited for a batch.
The JPEGs are made of embedded images, 640 x 480, as a camera's thumbnails would be, and are cut at
random (`augment.crop: 0.35`). Needs data/prepared (`dvc repro prepare_data`).
"""

import argparse
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from benchmarks import throughput
from slimline import params
from slimline.data import split_files, splitting
from slimline.data.split_files import Split
from slimline.data.splitting import DataParams
from slimline.networks import classifier
from slimline.training import determinism, loader
from slimline.training.backbone_swap import BackboneSwapParams
from slimline.training.recipe import Recipe

PREPARED = Path("data/prepared")
_PHOTO_SIZE = (640, 480)
_INPUT_SIZE = 96
_NUM_PHOTOS = 1200


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    settings = params.load("backbone_swap", BackboneSwapParams)
    determinism.start(params.load_run())
    print("| images | workers | loader, images/s | training, images/s | waiting |")
    print("|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            "embedded, 28 px": (split_files.load(PREPARED / "train"), settings.unfrozen),
            f"JPEG {_PHOTO_SIZE[0]} x {_PHOTO_SIZE[1]}, {_INPUT_SIZE} px": (
                photos(Path(folder)),
                cut(settings.unfrozen),
            ),
        }
        for name, (split, recipe) in sets.items():
            for workers in arguments.workers:
                measured = measure(split, settings, recipe, workers, arguments.steps)
                print(f"| {name} | {workers} | {measured}", flush=True)


def measure(
    split: Split, settings: BackboneSwapParams, recipe: Recipe, workers: int, steps: int
) -> str:
    """Return the last three columns of a line."""
    count = steps * recipe.batch_size
    changes = {"num_workers": workers, "epochs": count / len(split), "validations": 1}
    chosen = recipe.model_copy(update=changes)
    start = time.perf_counter()
    batches = loader.training_batches(split, split.preprocessing, chosen, seed=1)
    loaded = sum(len(labels) for _, labels in batches)
    loaded_per_s = loaded / (time.perf_counter() - start)
    model = classifier.build(settings, split, Path())
    waits: list[float] = []
    timed = _timed(loader.training_batches, waits)
    with mock.patch.object(loader, "training_batches", timed):
        seconds = throughput.run(model, split, chosen, steps=steps)
    return f"{loaded_per_s:.0f} | {loaded / seconds:.0f} | {100 * sum(waits) / seconds:.0f} % |"


def _timed(make: Any, waits: list[float]) -> Any:
    """Return a maker of loaders that notes how long each batch was waited for."""

    def wait(batches: Iterable[Any]) -> Iterator[Any]:
        iterator = iter(batches)
        while True:
            start = time.perf_counter()
            try:
                batch = next(iterator)
            except StopIteration:
                return
            waits.append(time.perf_counter() - start)
            yield batch

    return lambda *arguments, **settings: wait(make(*arguments, **settings))


def photos(folder: Path) -> Split:
    """Write JPEGs in class folders and return their training split, prepared."""
    source = split_files.load(PREPARED / "validation")
    for row in range(_NUM_PHOTOS):
        label = int(source.labels[row])
        path = folder / "raw" / "photos" / f"class {label}" / f"{row}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.asarray(source.images[row]).squeeze()
        Image.fromarray(pixels).resize(_PHOTO_SIZE).convert("RGB").save(path, quality=90)
    settings = DataParams(
        seed=1,
        source="photos",
        image_size=_INPUT_SIZE,
        crop=1.0,
        validation_images=50,
        calibration_images=50,
        test_images=50,
        on_bad_image="error",
    )
    parts = splitting.prepare(folder / "raw", settings, seed=1, scratch=folder)
    split_files.save(folder / "train", parts["train"])
    return split_files.load(folder / "train")


def cut(recipe: Recipe) -> Recipe:
    """Return the recipe with random cuts, as photos want them."""
    augment = recipe.augment.model_copy(update={"crop": 0.35, "flip": True})
    return recipe.model_copy(update={"augment": augment})


if __name__ == "__main__":
    main()
