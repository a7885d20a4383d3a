from pathlib import Path

import finished
import pytest

from slimline import files
from slimline.report import images_seen
from slimline.training import backbone_swap


def write_history(folder: Path, name: str, images: list[int]) -> None:
    rows = [
        {
            "phase": str(phase),
            "epoch": 1,
            "images": count,
            "train_loss": 1.0,
            "validation_top1": 90.0,
        }
        for phase, count in enumerate(images)
    ]
    header = ["phase", "epoch", "images", "train_loss", "validation_top1"]
    files.write_table(folder / "models" / name / "history.tsv", rows, header=header)


def test_a_variant_saw_what_its_own_weights_were_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished.make(tmp_path / "run")
    write_history(folder, "baseline_train", [1000])
    write_history(folder, "backbone_swap", [20, 300])
    write_history(folder, "prune", [4000, 5000])
    write_history(folder, "qat_finetune", [60_000])
    report = finished.run(folder, monkeypatch)["report.md"]
    seen = {
        row["variant"]: int(row["images"])
        for row in files.read_table(folder / "metrics" / "history" / "images_seen.tsv")
    }
    assert seen == {
        "baseline_train": 1000,
        "backbone_swap": 320,
        "prune": 9320,
        "int8_export": 69_320,
        "int8_ptq": 9320,
        "int8_dynamic": 9320,
        "float16": 9320,
    }
    assert "| **int8_export** | 69.3 k |" in report
    assert "int8_export was trained on 69.3 times as many images as baseline_train" in report


def test_no_note_where_the_baseline_saw_as_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished.make(tmp_path / "run")
    for name in finished.TRAINED:
        write_history(folder, name, [3000 if name == "baseline_train" else 1000])
    assert "times as many images" not in finished.run(folder, monkeypatch)["report.md"]


def test_what_keeps_the_backbone_is_called_alike() -> None:
    assert images_seen.KEEP == backbone_swap.KEEP


def test_a_baseline_that_goes_on_itself_is_counted_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished.make(tmp_path / "run")
    path = folder / "models" / "backbone_swap" / "model.json"
    content = files.read_json(path)
    files.write_json(path, content | {"settings": {"backbone": "keep"}})
    _adopt(folder, path)
    for name, images in zip(finished.TRAINED, (1000, 0, 500, 0), strict=True):
        write_history(folder, name, [images])
    finished.run(folder, monkeypatch)
    table = files.read_table(folder / "metrics" / "history" / "images_seen.tsv")
    assert {row["variant"]: row["images"] for row in table}["int8_export"] == "1500"


def _adopt(folder: Path, parent: Path) -> None:
    """Name a model.json that was changed as the parent of those made from it, down to the end."""
    for name in ("prune", "qat_finetune", "int8_export"):
        path = folder / "models" / name / "model.json"
        content = files.read_json(path)
        content["sha256"]["parent"] = files.hash_file(parent)
        files.write_json(path, content)
        parent = path


def test_a_checkpoint_used_as_it_is_has_no_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished.make(tmp_path / "run")
    for name in finished.TRAINED:
        write_history(folder, name, [] if name == "baseline_train" else [1000])
    told = finished.run(folder, monkeypatch)["report.md"]
    assert "what it saw before is not counted" in told
