"""The pipeline at toy size: a copy of the repository with a few images and a few training steps.

The same stages, the same `dvc.yaml`: only `params.yaml` and the data are small.
"""

import functools
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from slimline import variants
from slimline.data import splitting
from slimline.data.split_files import Split
from slimline.data.splitting import DataParams
from slimline.training.augmentation import Augment
from slimline.training.settings import Step

ROOT = Path(__file__).parent.parent
_EMBEDDED = ROOT / "data" / "raw" / "fashion_mnist"
NUM_TRAIN, NUM_TEST = 1800, 300
NO_AUGMENT = Augment(crop=1.0, flip=False, shift=0, color=0, randaugment=0, mixup=0, cutmix=0)
PLAIN_STEP = Step(
    precision="float32", accumulate=1, clip_norm=0, ema=0, decay_all=True, compile=False
)
VARIANTS = tuple(variants.read(ROOT / variants.PATH))

_OVERRIDES: dict[str, Any] = {
    # Tests run side by side, and threads of two trainings that share two cores wait for each other.
    "num_threads": 1,
    # Whatever the last `make repro` was run with.
    "seed": 1,
    "data.seed": 1,
    "data.source": "toy",
    "data.validation_images": 200,
    "data.calibration_images": 100,
    "baseline_train.backbone": "shufflenet_v2_x0_5",
    "training.batch_size": 32,
    "baseline_train.recipe.optimizer": "adamw",
    "baseline_train.recipe.learning_rate": 0.01,
    "baseline_train.recipe.epochs": 3,
    "backbone_swap.backbone": "shufflenet_v2_x0_5",
    "backbone_swap.frozen.epochs": 0.2,
    "backbone_swap.unfrozen.optimizer": "adamw",
    "backbone_swap.unfrozen.epochs": 3,
    "backbone_swap.unfrozen.learning_rate": 0.01,
    "backbone_swap.unfrozen.weight_decay": 0.01,
    "prune.threshold": 0.3,
    "prune.steps": 2,
    "prune.max_drop": 30,
    "prune.teacher": "backbone_swap",
    "prune.recover.optimizer": "adamw",
    "prune.recover.epochs": 1,
    "prune.recover.learning_rate": 0.006,
    "prune.recover.weight_decay": 0.01,
    "qat_finetune.recipe.epochs": 0.5,
    "int8_export.max_top1_difference": 2,
    "benchmark.blocks": 3,
    "benchmark.runs": 3,
    "benchmark.batches": 2,
    "benchmark.max_seconds": 0,
}


def make(folder: Path, *, num_test: int = NUM_TEST) -> Path:
    """Return a fresh git repository with the toy pipeline, committed, nothing run yet."""
    for name in git(ROOT, "ls-files", "-co", "--exclude-standard").splitlines():
        source, target = ROOT / name, folder / name
        is_result = name == "dvc.lock" or (
            name.startswith("metrics/") and name != "metrics/dvc.yaml"
        )
        is_data = name.startswith("data/raw/fashion_mnist/")
        if is_result or is_data or not source.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
    make_data(folder / "data" / "raw" / "toy", num_test=num_test)
    set_params(folder, _OVERRIDES)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "user.email", "toy@example.org")
    git(folder, "config", "user.name", "Toy")
    commit(folder, "Begin with the toy pipeline")
    return folder


def clone(pipeline: Path, folder: Path) -> Path:
    """Return a clone of a finished pipeline that shares its cache."""
    git(pipeline, "clone", "--quiet", str(pipeline), str(folder))
    git(folder, "config", "user.email", "toy@example.org")
    git(folder, "config", "user.name", "Toy")
    dvc(folder, "config", "--local", "cache.dir", str(pipeline / ".dvc" / "cache"))
    dvc(folder, "checkout")
    return folder


def commit(folder: Path, message: str) -> None:
    """Commit everything that git does not ignore."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def set_params(folder: Path, values: dict[str, Any]) -> None:
    """Change values of `params.yaml`, keys given with dots, keeping comments."""
    yaml = YAML()
    path = folder / "params.yaml"
    content = yaml.load(path)
    for dotted, value in values.items():
        section = content
        *parents, key = dotted.split(".")
        for parent in parents:
            section = section.setdefault(parent, {})
        section[key] = value
    yaml.dump(content, path)


def dvc(
    folder: Path,
    *arguments: str,
    check: bool = True,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> subprocess.CompletedProcess[str]:
    """Run real DVC in a folder with this Python first on the path; show its output on failure."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        env=of_stages() | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"dvc {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}")
    return done


def init_dvc(folder: Path, config: str = "") -> None:
    """Leave what `dvc init` leaves, and a config, without seconds for each process."""
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (folder / ".dvc" / "config").write_text(config)


def run_command(folder: Path, *arguments: str) -> str:
    """Run this Python with arguments in a folder; return what it prints, show it on failure."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=of_stages(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{' '.join(arguments)}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def of_stages() -> dict[str, str]:
    """Return the environment of a stage: `python` is the one that runs the tests."""
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DVC_NO_ANALYTICS": "1",
    }


_DETERMINISTIC = ("evaluate", "predictions", "newly_wrong", "recalls")


def results(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every model file and deterministic metric, by relative path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for part in ("models", *(f"metrics/{each}" for each in _DETERMINISTIC))
        for path in sorted((folder / part).rglob("*"))
        if path.is_file() and path.name != ".gitignore"
    }


DATA = DataParams(
    seed=1,
    source="toy",
    image_size=28,
    crop=1.0,
    validation_images=200,
    calibration_images=100,
    test_images=0,
    store="resized",
    on_bad_image="error",
    near_copies="report",
)


def splits(raw: Path, **changes: Any) -> dict[str, Split]:
    """Return the splits of the toy data, made under `raw`; `changes` are settings of `data`."""
    make_data(raw / "toy")
    return splitting.prepare(raw, DATA.model_copy(update=changes), seed=1, scratch=raw)


def make_data(folder: Path, *, num_test: int = NUM_TEST) -> None:
    """Write the first images of the embedded set as an IDX data set of its own."""
    folder.mkdir(parents=True)
    shutil.copy2(_EMBEDDED / "classes.txt", folder)
    sums = []
    for path in sorted(_EMBEDDED.glob("*.gz")):
        packed = _first_images(path, NUM_TRAIN if path.name.startswith("train") else num_test)
        (folder / path.name).write_bytes(packed)
        sums.append(f"{hashlib.sha256(packed).hexdigest()}  {path.name}\n")
    (folder / "SHA256SUMS").write_text("".join(sums))


@functools.cache
def _first_images(path: Path, count: int) -> bytes:
    """Return an IDX file of so many images, or labels, of a packed one; packed as well."""
    content = gzip.decompress(path.read_bytes())
    header = np.frombuffer(content[: 16 if "idx3" in path.name else 8], ">i4").copy()
    size = int(np.prod(header[2:])) * count
    header[1] = count
    return gzip.compress(header.tobytes() + content[header.nbytes : header.nbytes + size], mtime=0)


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
