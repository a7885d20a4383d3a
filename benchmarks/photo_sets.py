"""Do small photo sets come from `dvc add` to the report, whatever the backbone? As a user would.

    python -m benchmarks.photo_sets PHOTOS --work FOLDER

PHOTOS has a folder of images for each class (any set will do; of CIFAR-10, `train/`). For each case
the repository's HEAD is cloned into FOLDER, three classes of them are written at mixed sizes, some
turned by EXIF, some CMYK, some grey, tracked with `dvc add`, and `dvc repro` runs with the settings
of `examples/photos.params.yaml`, smaller and shorter. Cases are one entry of each family of
backbones with 60, 120 and 300 photos a class (50, 100 and 300 for validation), and further seeds of
one of them. What came out is kept in FOLDER/results.json: a case that is there is not run again. A
case takes one to two minutes on two cores.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from slimline import files

FAMILIES = (
    "efficientnet_lite0", "shufflenet_v2_x0_5", "mobilenet_v3_small", "mobilenet_v4_conv_small",
    "mobilenet_v2", "resnet18", "resnet8_w48", "efficientnet_b0",
)  # fmt: skip
VALIDATION = {60: 50, 120: 100, 300: 300}
"""Photos of a class, and how many of all are for validation."""
NUM_CLASSES = 3
SETTINGS = (
    "data.source=photos", "data.image_size=48", "data.calibration_images=20", "data.test_images=30",
    "baseline_train.backbone=shufflenet_v2_x0_5", "baseline_train.pretrained=none",
    "baseline_train.recipe.epochs=2", "backbone_swap.pretrained=none",
    "backbone_swap.unfrozen.epochs=3", "prune.recover.epochs=1", "training.num_workers=1",
    "num_threads=1", "benchmark.blocks=2", "benchmark.batches=1", "benchmark.max_seconds=0",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A run of the pipeline."""

    backbone: str
    per_class: int
    seed: int


@dataclass(frozen=True)
class Result:
    """What came of it."""

    backbone: str
    per_class: int
    validation: int
    seed: int
    outcome: str
    """`report`, or the last line that the stopped run printed."""
    top1_validation: float
    agreement: float
    """Percent of validation images that fake-quant and the int8 file answer alike."""
    logit_difference: float
    """The largest, percent of the spread of the logits."""
    seconds: int


def main() -> None:
    """Run what was not run yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--families", nargs="+", default=list(FAMILIES))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(VALIDATION))
    parser.add_argument("--seeds", type=int, default=5, help="of the first family and size")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    table = arguments.work / "results.json"
    known = [
        Result(**each) for each in (files.read_json(table)["results"] if table.is_file() else [])
    ]
    for case in cases(arguments.families, arguments.sizes, arguments.seeds):
        if not any((each.backbone, each.per_class, each.seed) == astuple(case) for each in known):
            known.append(run(case, arguments.photos, arguments.work))
            files.write_json(table, {"results": [asdict(each) for each in known]})
    print_table(known)


def cases(families: list[str], sizes: list[int], seeds: int) -> Iterator[Case]:
    """Yield all cases: each family and size once, then the other seeds."""
    for size in sizes:
        for name in families:
            yield Case(name, size, 1)
    for seed in range(2, seeds + 1):
        yield Case(families[0], sizes[0], seed)


def astuple(case: Case) -> tuple[str, int, int]:
    """Return what tells a case from others."""
    return case.backbone, case.per_class, case.seed


def run(case: Case, photos: Path, work: Path) -> Result:
    """Clone, bring photos, run; the clone is removed."""
    folder = work / "clone"
    shutil.rmtree(folder, ignore_errors=True)
    root = Path(__file__).parent.parent
    command(root, "git", "clone", "--quiet", str(root), str(folder))
    make_photos(photos, folder / "data" / "raw" / "photos", case)
    command(folder, "dvc", "add", "--quiet", "data/raw/photos")
    command(
        folder, "slimline", "apply", "examples/photos.params.yaml", *SETTINGS,
        f"backbone_swap.backbone={case.backbone}", f"seed={case.seed}",
        f"data.validation_images={VALIDATION[case.per_class]}",
    )  # fmt: skip
    begin = time.perf_counter()
    done = command(folder, "dvc", "repro", check=False)
    seconds = round(time.perf_counter() - begin)
    description = folder / "models" / "int8_export" / "model.json"
    has_report = done.returncode == 0 and (folder / "metrics" / "report.html").is_file()
    parity = files.read_json(description)["parity"] if has_report else {}
    result = Result(
        case.backbone, case.per_class, VALIDATION[case.per_class], case.seed,
        "report" if has_report else reason(done.stdout + done.stderr),
        parity.get("top1_int8", 0.0), parity.get("agreement", 0.0),
        100 * parity.get("largest_difference", 0.0) / (parity.get("spread") or 1.0), seconds,
    )  # fmt: skip
    print(result, flush=True)
    shutil.rmtree(folder)
    return result


def make_photos(source: Path, target: Path, case: Case) -> None:
    """Write photos of the first classes at mixed sizes and of all kinds."""
    generator = np.random.default_rng(case.seed)
    classes = sorted(path for path in source.iterdir() if path.is_dir())[:NUM_CLASSES]
    for folder in classes:
        (target / folder.name).mkdir(parents=True)
        paths = sorted(folder.iterdir())
        for number, row in enumerate(generator.permutation(len(paths))[: case.per_class].tolist()):
            with Image.open(paths[row]) as image:
                size = tuple(generator.integers(64, 200, 2).tolist())
                photo = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
            save(photo, target / folder.name / f"{number}.jpg", kind=number % 10)


def save(photo: Image.Image, path: Path, kind: int) -> None:
    """Save a photo in one of the ways in which cameras and editors do."""
    exif = Image.Exif()
    if kind == 1:
        photo = photo.convert("CMYK")
    elif kind == 2:
        photo = photo.convert("L")
    elif kind == 3:
        photo = photo.transpose(Image.Transpose.ROTATE_90)
        exif[ExifTags.Base.Orientation] = 6  # to be turned by 90 degrees clockwise
    photo.save(path, quality=92, exif=exif)


def command(
    folder: Path, module: str, *arguments: str, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run git, or a module of this Python, in a folder.

    Raises:
        SystemExit: it fails; what it printed is the message.
    """
    program = [module] if module == "git" else [sys.executable, "-m", module]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*program, *arguments], cwd=folder, env=os.environ | {"PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if check and done.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}")
    return done


def reason(printed: str) -> str:
    """Return the line of a stopped run that says why, for a cell of a table."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith("ERROR: failed to reproduce")]
    return told[-1].replace("|", "/").replace("\t", " ")


def print_table(results: list[Result]) -> None:
    """Print all results in Markdown."""
    print("| backbone | photos a class | validation | seed | came to | top-1 on validation "
          "| agree, % | largest logit difference, % of the spread | s |")  # fmt: skip
    print("|---|---:|---:|---:|---|---:|---:|---:|---:|")
    for each in results:
        print(
            f"| {each.backbone} | {each.per_class} | {each.validation} | {each.seed} "
            f"| {each.outcome} | {each.top1_validation:.1f} | {each.agreement:.1f} "
            f"| {each.logit_difference:.2f} | {each.seconds} |"
        )


if __name__ == "__main__":
    main()
