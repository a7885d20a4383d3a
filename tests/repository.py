"""A git repository with results that were written by hand: no model, no image, no training.

What a state of it shows is said in `State`; every file is as the stages write it.
"""

import itertools
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import toy
from ruamel.yaml import YAML

from slimline import files, variants
from slimline.measure import accuracy, significance, trainings
from slimline.measure.trainings import Training
from slimline.repository import dvc_files

DECLARED = variants.read(toy.ROOT / variants.PATH)
VARIANTS, BASELINE, PRODUCT = tuple(DECLARED), DECLARED.baseline, DECLARED.product
_PIPELINE = """\
stages:
  validate_params:
    cmd: python -m stages.validate_params params.yaml
    params:
    - params.yaml:
  prepare_data:
    cmd: python -m stages.prepare_data data/prepared
    params: [data]
    outs:
    - data/prepared/test
  baseline_train:
    cmd: python -m stages.baseline_train data/prepared models/baseline_train
    params: [seed, num_threads, training, baseline_train]
    outs:
    - models/baseline_train
  int8_export:
    cmd: python -m stages.int8_export models/baseline_train models/int8_export
    deps:
    - models/baseline_train
    params: [seed, num_threads, prune, int8_export]
    outs:
    - models/int8_export
  evaluate:
    cmd: python -m stages.evaluate models data/prepared/test metrics
    deps:
    - data/prepared/test
    - models/int8_export
    params: [num_threads]
    outs:
    - metrics/predictions: {cache: false}
    metrics:
    - metrics/evaluate: {cache: false}
  benchmark:
    cmd: python -m stages.benchmark models metrics
    deps:
    - models/int8_export/model.onnx
    params: [num_threads, benchmark]
    outs:
    - metrics/benchmark: {cache: false}
    metrics:
    - metrics/latency: {cache: false}
"""

COUNT = 2000
CLASSES = [f"class {index}" for index in range(10)]
_UNKNOWN = itertools.count(1)
_LABELS = np.random.default_rng(0).integers(0, 10, COUNT)
_SIZES = dict(zip(VARIANTS, (40000.0, 5000.0, 3000.0, 1000.0, 1000.0, 3000.0, 1500.0), strict=True))
_TIMES = dict(zip(VARIANTS, (10.0, 1.0, 0.6, 0.5, 0.5, 0.7, 0.9), strict=True))


@dataclass(frozen=True)
class State:
    """What is special about the product; the other variants are always the same."""

    lost: int = 0
    """Images, from the first, that it answers wrong and everyone else right."""
    size_kib: float = _SIZES[PRODUCT]
    milliseconds: float = _TIMES[PRODUCT]
    cpu: str = "Test CPU"
    day: int = 0
    """Seed of the noise of latency."""
    classes: Sequence[str] = field(default_factory=lambda: CLASSES)
    test_split: str = "0" * 32
    product_md5: str = ""
    """Of the product's file in `dvc.lock`; empty: of its own each time."""
    is_noisy: bool = False
    """Whether the times are called noisy; they are the same."""


SETTINGS = {"prune.threshold": 0.15, "gates.min_size_ratio": 20, "gates.min_speedup": 5}
"""What tests speak of, whatever the default is."""


def make(folder: Path, state: State | None = None) -> Path:
    """Return a repository with one commit on main."""
    folder.mkdir(parents=True)
    for name in ("params.yaml", "variants.yaml"):
        shutil.copy2(toy.ROOT / name, folder)
    toy.set_params(folder, SETTINGS)
    (folder / "dvc.yaml").write_text(_PIPELINE)
    toy.git(folder, "init", "--quiet", "--initial-branch=main")
    for key, value in {
        "user.email": "toy@example.org",
        "user.name": "Toy",
        "commit.gpgsign": "false",
        "core.hooksPath": "no-hooks",
    }.items():
        toy.git(folder, "config", key, value)
    write(folder, state or State())
    toy.commit(folder, "Run the pipeline")
    return folder


def write(folder: Path, state: State) -> None:
    """Write all results of a state and the lock, as of the params that the folder has."""
    write_metrics(folder / "metrics", state)
    write_lock(folder, state)


def write_metrics(metrics: Path, state: State) -> None:
    """Write all results of a state, as the stages do under `metrics/`."""
    for name in VARIANTS:
        answers = _answers(state.lost if name == PRODUCT else 0)
        text = accuracy.format_predictions(answers)
        files.write_text(metrics / "predictions" / f"{name}.txt", text)
        files.write_json(metrics / "evaluate" / f"{name}.json", _figures(name, answers, state))
        files.write_json(metrics / "latency" / f"{name}.json", _latency(name, state))
    labels = accuracy.format_predictions(_LABELS)
    files.write_text(metrics / "predictions" / "labels.txt", labels)
    about = {"classes": list(state.classes), "sha256": state.test_split * 2}
    files.write_json(metrics / "predictions" / "test_split.json", about)
    _write_blocks(metrics / "benchmark" / "blocks.tsv", state)
    files.write_json(metrics / "benchmark" / "run.json", _run(state))


def write_training(folder: Path, weights: str, *others: Training) -> None:
    """Say which weights the product was exported of: `diff` and `gate` ask whether they changed."""
    made = Training("qat_finetune", weights, "cpu", "Test CPU", "AVX2", "2", "2.14.1")
    trainings.write(folder / "metrics/history", [made, *others])


def write_top1(folder: Path, name: str) -> None:
    """Score the predictions of a variant anew, after a test has changed them."""
    answers = accuracy.read_predictions(folder / "metrics" / "predictions" / f"{name}.txt")
    path = folder / "metrics" / "evaluate" / f"{name}.json"
    files.write_json(path, _figures(name, answers, State()))
    write_lock(folder, State())


def _answers(lost: int) -> np.ndarray:
    """Every tenth image is wrong for everyone, and so many others from the first on."""
    wrong = np.arange(COUNT) % 10 == 9
    wrong[np.flatnonzero(~wrong)[:lost]] = True
    return np.where(wrong, (_LABELS + 1) % 10, _LABELS)


def _figures(name: str, answers: np.ndarray, state: State) -> dict[str, Any]:
    right = int((answers == _LABELS).sum())
    low, high = significance.wilson(right, COUNT, significance.SURE_95)
    size = state.size_kib if name == PRODUCT else _SIZES[name]
    return {
        "top1": round(100 * right / COUNT, 3),
        "validation_top1": round(100 * right / COUNT, 3) + 0.5,
        "top1_low": round(100 * low, 3),
        "top1_high": round(100 * high, 3),
        "mean_recall": round(100 * right / COUNT, 3),
        "least_recall": 0.0,
        "agreement": 95.0,
        "loss": 0.3,
        "ece": 1.5,
        "size_kib": size,
        "size_zip_kib": 0.8 * size,
        "params": int(250 * size),
        "sparsity": 0.0,
        "macs_m": size / 400,
        "int8_macs": 100.0 if name.startswith("int8") else 0.0,
    }


def _latency(name: str, state: State) -> dict[str, Any]:
    times = state.milliseconds if name == PRODUCT else _TIMES[name]
    return {
        "p50_ms": times,
        "p95_ms": 1.5 * times,
        "images_per_s": 1000 / times,
        "peak_rss_mib": 90.0,
        "base_rss_mib": 61.0,
        "speedup": _TIMES[BASELINE] / times,
        "cpu": state.cpu,
        "cpu_flags": "avx2",
    }


def _run(state: State) -> dict[str, Any]:
    return {
        "blocks": 40,
        "noise": 4.1 if state.is_noisy else 1.6,
        "max_noise": 2.5,
        "is_noisy": state.is_noisy,
        "load_before": 0.4,
        "load_after": 1.1,
        "others_cpu": 37.0 if state.is_noisy else 3.0,
    }


def _write_blocks(path: Path, state: State) -> None:
    rng = np.random.default_rng(state.day)
    times = _TIMES | {PRODUCT: state.milliseconds}
    noise = {name: rng.lognormal(sigma=0.03, size=40) for name in VARIANTS}
    rows = [
        {name: float(times[name] * noise[name][block]) for name in VARIANTS} for block in range(40)
    ]
    files.write_table(path, rows)


def write_lock(folder: Path, state: State) -> None:
    """Write `dvc.lock` as of a run of what the folder has, with made-up hashes of its models."""
    path = folder / "dvc.yaml"
    text = path.read_text() if path.is_file() else _PIPELINE
    declared = YAML(typ="safe", pure=True).load(text)["stages"]
    params = YAML(typ="safe", pure=True).load(folder / "params.yaml")
    product = f"models/{PRODUCT}"
    hashes = {
        "data/prepared/test": f"{state.test_split}.dir",
        f"models/{BASELINE}": "1" * 32 + ".dir",
        product: (state.product_md5 or "4" * 32) + ".dir",
        f"{product}/model.onnx": state.product_md5 or f"{next(_UNKNOWN):032d}",
    }
    if not state.product_md5 and (folder / product / "model.onnx").is_file():
        del hashes[f"{product}/model.onnx"]
    stages = {name: _run_of(block, folder, params, hashes) for name, block in declared.items()}
    # JSON is YAML as well.
    (folder / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}, indent=1))


def _run_of(
    block: dict[str, Any], folder: Path, params: dict[str, Any], hashes: dict[str, str]
) -> dict[str, Any]:
    """What DVC writes down of one stage."""
    outs = [next(iter(each)) if isinstance(each, dict) else each for each in _outs(block)]
    is_whole = any(isinstance(each, dict) for each in block["params"])
    ran = params if is_whole else {key: params.get(key) for key in block["params"]}

    def entries(paths: Sequence[str]) -> list[dict[str, Any]]:
        md5s = {path: hashes.get(path) or dvc_files.hash_path(folder / path) for path in paths}
        return [{"path": path, "hash": "md5", "md5": md5} for path, md5 in md5s.items()]

    return {
        "cmd": block["cmd"],
        "deps": entries(block.get("deps", [])),
        "params": {"params.yaml": ran},
        "outs": entries(outs),
    }


def _outs(block: dict[str, Any]) -> list[Any]:
    return [*block.get("outs", []), *block.get("metrics", [])]
