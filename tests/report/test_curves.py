from pathlib import Path

import pytest

from slimline import files
from slimline.report import curves


def test_phases_go_on_where_the_one_before_ended(tmp_path: Path) -> None:
    rows = [
        {"phase": phase, "epoch": epoch, "train_loss": 1.0, "validation_top1": 90.0}
        | {"images": round(100 * epoch)}
        for phase, epoch in (("a", 0.5), ("a", 1.0), ("b", 0.3), ("c", 0.2), ("c", 0.4))
    ]
    files.write_table(tmp_path / "history.tsv", rows)
    curve = curves.read(tmp_path / "history.tsv", "prune")
    assert curve.epochs == pytest.approx([0.5, 1.0, 1.3, 1.5, 1.7])
    assert curve.images == 170
    assert curve.losses == [[1.0, 1.0], [1.0], [1.0, 1.0]]


def test_a_stage_that_trained_nothing_has_an_empty_curve(tmp_path: Path) -> None:
    header = ["phase", "epoch", "images", "validation_top1"]
    files.write_table(tmp_path / "history.tsv", [], header=header)
    curve = curves.read(tmp_path / "history.tsv", "prune")
    assert (curve.top1, curve.images) == ([], 0)
