"""What the report says of int8 that training did not help."""

from pathlib import Path

import finished
import pytest
import repository

from slimline import files
from slimline.measure import accuracy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return finished.make(tmp_path / "run")


def notes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return finished.run(folder, monkeypatch)["report.md"].partition("## Worth knowing")[2]


@pytest.mark.parametrize(("won", "lost", "is_told"), [(0, 5, False), (0, 6, True), (40, 50, False)])
def test_qat_behind_ptq_beyond_noise(
    won: int, lost: int, is_told: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, product, ptq = (
        folder / "metrics" / "predictions" / f"{name}.txt"
        for name in ("labels", "int8_export", "int8_ptq")
    )
    right = accuracy.read_predictions(labels)
    for path, start, count in ((product, 0, lost), (ptq, 1000, won)):
        answers = right.copy()
        answers[start : start + count] = (right[start : start + count] + 1) % 10
        path.write_text(accuracy.format_predictions(answers))
        repository.write_top1(folder, path.stem)
    told = f"of the test images it wins {won} and loses {lost}."
    assert (told in notes(folder, monkeypatch)) == is_told


@pytest.mark.parametrize(("best", "is_told"), [(89.5, True), (90.0, True), (90.5, False)])
def test_training_that_gained_nothing(
    best: float, is_told: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"phase": "qat", "step": step, "epoch": step / 10, "images": step, "validation_top1": top1}
        for step, top1 in ((0, 90.0), (1, best), (2, 80.0))
    ]
    files.write_table(folder / "models" / "qat_finetune" / "history.tsv", rows)
    told = f"qat_finetune gained nothing: 90.00 % on validation before training, {best:.2f} %"
    assert (told in notes(folder, monkeypatch)) == is_told
