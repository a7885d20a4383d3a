from pathlib import Path

import finished
import pytest

from slimline import files


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
    files.write_table(folder / "models" / name / "history.tsv", rows)


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
