"""Does preparing a million photos, DVC's commit of them and the loader keep within 2 GB of memory?

    python -m benchmarks.million_images --images 50000 200000
    python -m benchmarks.million_images --images 1281167    # as many as ImageNet has; 20 GB
    python -m benchmarks.million_images --images 50000 --size 128

writes so many small JPEGs in 1,000 classes, no two alike, and prints for each step seconds, seconds
of CPU and peak memory, each in a process of its own: `prepare_data`'s work without and with a look
for near copies; the loader: its start, an epoch's order and the first batch; `dvc add` of the
prepared split and, for comparison, of the same photos as one file each. `--steps` chooses among
them. At most `--size` 16 a photo is noise; above, it is smooth, as photos are, and JPEG makes a few
kilobytes of it. Validation, calibration and test get `--held-out` photos each, by default a share
as ImageNet's: the look for near copies compares those of validation and test with all others.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import prepared_photos

_CLASSES, _QUALITY = 1000, 70
_HELD_OUT = 50_000 / 1_281_167
"""Photos of ImageNet's validation for each of its training."""

_DRAWN = 16
"""Height and width that are drawn at random, pixels."""


def main() -> None:
    """Print a table, or run the one step that another process asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[50_000, 200_000])
    parser.add_argument("--size", type=int, default=_DRAWN, help="height and width, pixels")
    parser.add_argument("--held-out", type=int, help="photos of each split but training")
    parser.add_argument("--folder", type=Path, help="where to write; a temporary one if left out")
    parser.add_argument(
        "--steps", nargs="+", choices=[*STEPS, *COMMITS], default=[*STEPS, *COMMITS]
    )
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        STEPS[given.step](given.folder, given.size, given.held_out)
        return
    print("| images | step | s | s of CPU | peak memory, MiB |\n|---:|---|---:|---:|---:|")
    for count in given.images:
        with tempfile.TemporaryDirectory(dir=given.folder) as name:
            make(Path(name) / "raw" / "photos", count, given.size)
            held_out = given.held_out or share(count)
            own = [sys.executable, "-m", "benchmarks.million_images", "--folder", name]
            own += ["--size", str(given.size), "--held-out", str(held_out)]
            for key in (each for each in STEPS if each in given.steps):
                title = (STEPS[key].__doc__ or "").partition(".")[0]
                print(f"| {count:,} | {title} | {measured([*own, '--step', key])} |", flush=True)
            for key in (each for each in COMMITS if each in given.steps):
                title, folder = COMMITS[key]
                print(f"| {count:,} | {title} | {_committed(Path(name), folder)} |", flush=True)


def share(count: int) -> int:
    """Return how many of so many photos each split but training gets: one a class at least."""
    return max(_CLASSES, round(_HELD_OUT * count))


def make(folder: Path, count: int, size: int) -> None:
    """Write photos of `size` x `size` pixels in class folders."""
    generator = np.random.default_rng(0)
    for label in range(_CLASSES):
        (folder / f"class {label:04d}").mkdir(parents=True)
    for number in range(count):
        pixels = generator.integers(0, 256, (_DRAWN, _DRAWN, 3), np.uint8)
        photo = Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)
        buffer = BytesIO()
        photo.save(buffer, "JPEG", quality=_QUALITY)
        name = f"class {number % _CLASSES:04d}/photo {number:07d}.jpg"
        (folder / name).write_bytes(buffer.getvalue())


def prepare(folder: Path, size: int, held_out: int) -> None:
    """`prepare_data`: look at every photo, split, pack."""
    prepared_photos.prepare(folder, size=size, held_out=held_out)


def prepare_and_compare(folder: Path, size: int, held_out: int) -> None:
    """The same with `near_copies: report`."""
    shutil.rmtree(folder / "prepared")
    prepared_photos.prepare(folder, size=size, held_out=held_out, near_copies="report")


def import_only(_folder: Path, _size: int, _held_out: int) -> None:
    """Importing torch and the loader, for comparison."""
    from slimline.training import loader

    assert loader.training_batches


def load(folder: Path, _size: int, _held_out: int) -> None:
    """The loader: its start, an epoch's order and the first batch."""
    from slimline import params
    from slimline.data import split_files
    from slimline.training import loader
    from slimline.training.backbone_swap import BackboneSwapParams

    split = split_files.load(folder / "prepared" / "train")
    recipe = params.load("backbone_swap", BackboneSwapParams).unfrozen
    batches = iter(loader.training_batches(split, split.preprocessing, recipe, seed=1))
    images, _ = next(batches)
    assert len(images) == recipe.batch_size


STEPS: Mapping[str, Callable[[Path, int, int], None]] = {
    "prepare": prepare,
    "prepare_and_compare": prepare_and_compare,
    "import": import_only,
    "load": load,
}

COMMITS = {
    "commit_packed": ("`dvc add` of the prepared split", "prepared"),
    "commit_files": ("`dvc add` of a file for each photo", "raw"),
}
"""What is said of each, and its folder."""


def _committed(scratch: Path, folder: str) -> str:
    """Return what DVC took for a folder, in a repository that it makes and removes."""
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=scratch, check=True)
    told = measured(["dvc", "add", "--quiet", folder], cwd=scratch)
    shutil.rmtree(scratch / ".dvc")
    shutil.rmtree(scratch / ".git")
    return told


def measured(command: Sequence[str], cwd: Path | None = None) -> str:
    """Run a command; return what it took, as cells of the table."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    seconds = time.perf_counter() - begun
    return f"{seconds:.0f} | {_cpu(usage):.0f} | {usage.ru_maxrss / 1024:.0f}"


def _cpu(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
