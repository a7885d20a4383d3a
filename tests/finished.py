"""A finished run that was written by hand: all that the report stage reads, and nothing trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import repository
import tiny_model
import toy
from repository import BASELINE, PRODUCT, VARIANTS, State

from slimline import files
from slimline.artifacts import description
from slimline.data.split_files import Split
from slimline.measure import accuracy, newly_wrong
from slimline.pruning.record import LayerChange, Round
from slimline.quantization.mixed_record import LayerChoice
from stages import report

TRAINED = (BASELINE, "backbone_swap", "prune", "qat_finetune")
_PARENTS = {
    "backbone_swap": BASELINE,
    "prune": "backbone_swap",
    "qat_finetune": "prune",
    PRODUCT: "qat_finetune",
    "int8_ptq": "prune",
    "int8_dynamic": "prune",
    "float16": "prune",
}
_PARAMS = """\
targets: []
data:
  source: toy
gates:
  burden: refute
  confidence: 95
  min_top1: none
  min_mean_recall: none
  max_size_kib: none
  max_p50_ms: none
  max_peak_rss_mib: none
  min_int8_macs: 90
  max_top1_drop: 0.5
  max_recall_drop: none
  min_size_ratio: 20
  min_speedup: 5
  max_top1_loss: 0.3
  max_size_growth: 5
  max_slowdown: 20
"""
_ROUNDS = (
    Round(0, 0.0, 1_263_422, 10.57, 0.0, 89.9, 89.9, is_kept=True),
    Round(1, 0.15, 853_000, 7.18, 0.0, 32.9, 90.8, is_kept=True),
    Round(2, 0.3, 500_000, 4.1, 0.0, 12.0, 87.1, is_kept=False),
)
_MIXED = (
    LayerChoice("conv1.0", 0.4, 0.3, 4.31, 4.08, "named"),
    LayerChoice("stage2.branches.0.0", 1.25, -0.05, 1.49, 1.1, "accuracy"),
    LayerChoice("fc", 0.0, 0.0, None, None, ""),
)
_LAYERS = (LayerChange("conv1.0", 24, 16, 264, 176, 190_000, 127_000, 0, 0),)


def make(
    folder: Path, classes: Sequence[str] = repository.CLASSES, state: State | None = None
) -> Path:
    """Write the results of a run under `folder`."""
    folder.mkdir()
    (folder / "params.yaml").write_text(_PARAMS)
    repository.write(folder, state or State(lost=5, classes=classes))
    for name in dict.fromkeys((*TRAINED, *VARIANTS)):
        _write_model(folder / "models", name, classes)
    files.write_text(folder / "models" / "sensitivity.tsv", "layers\tshare\tlost\n")
    licence = folder / "data" / "raw" / "toy" / "LICENSE"
    files.write_text(licence, "\nToy Licence 1.0\n\nDo what you like.\n")
    _write_newly_wrong(folder / "metrics", classes)
    return folder


def run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, declared: Path = toy.ROOT / "variants.yaml"
) -> dict[str, str]:
    """Run the report stage, and return its documents by name; variants are as declared there."""
    monkeypatch.chdir(folder)
    metrics, models = Path("metrics"), Path("models")
    report.main(
        declared,
        metrics,
        models,
        Path("data/raw"),
        models / "sensitivity.tsv",
        *(models / name for name in TRAINED),
    )
    names = ("report.md", "report.html", "model_card.md")
    return {name: (metrics / name).read_text(encoding="utf-8") for name in names}


def _write_model(models: Path, name: str, classes: Sequence[str]) -> None:
    folder = tiny_model.write(models / name, classes)
    parent = _PARENTS.get(name)
    content: dict[str, Any] = files.read_json(folder / description.DESCRIPTION) | {
        "architecture": {"backbone": "resnet18" if name == BASELINE else "shufflenet_v2_x1_0"},
        "input": {"name": "input", "dtype": "float32", "shape": ["batch", 1, 8, 8]},
        "output": {"name": "logits", "dtype": "float32"},
        "pretrained": None,
        "settings": {"of": name} | ({"backbone": "small"} if name == "backbone_swap" else {}),
        "sha256": {
            "data": "d" * 64,
            "parent": files.hash_file(models / parent / description.DESCRIPTION)
            if parent
            else None,
            "settings": "5" * 64,
        },
    }
    if name == "prune":
        content |= {
            "rounds": [each.to_dict() for each in _ROUNDS],
            "layers": [each.to_dict() for each in _LAYERS],
        }
    if name == "qat_finetune":
        content["mixed"] = [each.to_dict() for each in _MIXED]
    if name == PRODUCT:
        content["parity"] = {
            "agreement": 99.9,
            "agreement_written": 100.0,
            "largest_difference": 0.5,
            "spread": 40.0,
        }
    files.write_json(folder / description.DESCRIPTION, content)
    if name in TRAINED:
        rows = [
            {
                "phase": phase,
                "step": 10 * step,
                "epoch": step / 2,
                "images": 640 * step,
                "train_loss": 1 / step,
                "validation_top1": top1,
            }
            for phase, step, top1 in (("one", 1, 80.0), ("one", 2, 88.0), ("two", 1, 90.0))
        ]
        files.write_table(folder / description.HISTORY, rows)


def _write_newly_wrong(metrics: Path, classes: Sequence[str]) -> None:
    labels, before, after = (
        accuracy.read_predictions(metrics / "predictions" / f"{name}.txt")
        for name in ("labels", BASELINE, PRODUCT)
    )
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 8, 8, 1), np.uint8)
    logits = np.zeros((len(labels), 10), np.float32)
    logits[np.arange(len(labels)), after] = 5
    split = Split(images, labels, classes, tiny_model.FRAME)
    found = newly_wrong.to_dict(newly_wrong.find(split, logits, before))
    files.write_json(metrics / "newly_wrong" / f"{PRODUCT}.json", found)
