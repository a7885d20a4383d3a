"""Does training wait for its images? Measured for the embedded set and for folders of JPEGs.

    python -m benchmarks.data_loading

prints, per set and number of loader workers, the images per second of the loader alone and of
training with the default backbone, and the share of training's time that it waited for a batch.
The JPEGs are made of embedded images and noise, 640 x 480, as thumbnails of a camera are, and of
12 megapixels, as a phone's photos are. They are cut at random (`augment.crop: 0.35`), or taken as
validation and `evaluate` take them; each once decoded whole, as all were at first, once as small as
they are needed (`Preprocessing.draft`, which `predict` does), and once stored so (`data.store:
resized`). Needs data/prepared (`dvc repro prepare_data`).
"""

import argparse
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import numpy as np
from PIL import Image

from benchmarks import prepared_photos, throughput
from slimline import params
from slimline.data import split_files
from slimline.data.split_files import ImageFiles, Split
from slimline.networks import classifier
from slimline.training import determinism, loader
from slimline.training.backbone_swap import BackboneSwapParams
from slimline.training.settings import Recipe

PREPARED = Path("data/prepared")
_INPUT_SIZE = 96
_SETS = {(640, 480): 1200, (4000, 3000): 100}
"""Width and height of photos, and how many there are."""
_STEPS_OF_LARGE = 2
_NOISE = 6
"""Standard deviation, of 255 steps: it makes files about as large as those of a camera."""


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
        embedded = split_files.load(PREPARED / "train")
        for workers in arguments.workers:
            measured = measure(embedded, settings, settings.unfrozen, workers, arguments.steps)
            print(f"| embedded, 28 px | {workers} | {measured}", flush=True)
        for size, count in _SETS.items():
            stored = Path(folder) / f"{size}"
            draw(stored, size, count)
            steps = min(arguments.steps, _STEPS_OF_LARGE if count < 1000 else arguments.steps)
            for how, chosen in kinds(stored):
                name = f"JPEG {size[0]} x {size[1]}, {how}"
                print(f"| {name}, in order | | {fixed(chosen):.0f} | | |", flush=True)
                for workers in arguments.workers:
                    measured = measure(chosen, settings, cut(settings.unfrozen), workers, steps)
                    print(f"| {name}, cut at random | {workers} | {measured}", flush=True)


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


def fixed(split: Split) -> float:
    """Return the images per second of a split as validation reads it."""
    start = time.perf_counter()
    for _ in loader.fixed_batches(split, split.preprocessing):
        pass
    return len(split) / (time.perf_counter() - start)


def decoded(split: Split, *, draft: bool) -> Split:
    """Return a split whose photos are decoded whole, or as small as they are needed."""
    frame = replace(split.preprocessing, draft=draft)
    assert isinstance(split.images, ImageFiles)
    return replace(split, images=replace(split.images, frame=frame), preprocessing=frame)


def kinds(folder: Path) -> Iterator[tuple[str, Split]]:
    """Yield how photos are decoded or stored, and their training split."""
    split = prepared(folder, "original")
    yield "whole", decoded(split, draft=False)
    yield "small", split
    yield "stored small", prepared(folder, "resized")


def prepared(folder: Path, store: Literal["original", "resized"]) -> Split:
    """Return the training split of drawn photos."""
    prepared_photos.prepare(folder, size=_INPUT_SIZE, held_out=10, store=store)
    return split_files.load(folder / "prepared" / "train")


def draw(folder: Path, size: tuple[int, int], count: int) -> None:
    """Write JPEGs in class folders."""
    source = split_files.load(PREPARED / "validation")
    generator = np.random.default_rng(0)
    for row in range(count):
        label = int(source.labels[row])
        path = folder / "raw" / "photos" / f"class {label}" / f"{row}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = Image.fromarray(np.asarray(source.images[[row]]).squeeze()).resize(size)
        noise = generator.normal(0, _NOISE, (size[1], size[0], 3))
        pixels = (np.asarray(grey)[..., np.newaxis] + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path, quality=90)


def cut(recipe: Recipe) -> Recipe:
    """Return the recipe with random cuts, as photos want them."""
    augment = recipe.augment.model_copy(update={"crop": 0.35, "flip": True})
    return recipe.model_copy(update={"augment": augment})


if __name__ == "__main__":
    main()
