import json
from pathlib import Path

import numpy as np
import pytest
import tiny_model
import toy

from slimline.data import split_files
from slimline.data.split_files import Split
from slimline.measure import accuracy
from stages import reference

CLASSES = ["<script>", 'a "b"\u2028c', "boot", "bag"]


def test_labels_answers_and_hostile_names_survive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toy.ROOT)  # where params.yaml is
    images = np.zeros([3, 8, 8, 1], np.uint8)
    for row, quarter in enumerate((2, 0, 3)):
        top, left = 4 * (quarter // 2), 4 * (quarter % 2)
        images[row, top : top + 4, left : left + 4] = 255
    split = Split(images, np.array([2, 1, 3]), CLASSES, tiny_model.FRAME)
    split_files.save(tmp_path / "test", split)
    model = tiny_model.write(tmp_path / "baseline", CLASSES)
    written = [tmp_path / name for name in ("labels.txt", "answers.txt", "about.json")]
    reference.main(model, tmp_path / "test", *written)
    assert accuracy.read_predictions(written[0]).tolist() == [2, 1, 3]
    assert accuracy.read_predictions(written[1]).tolist() == [2, 0, 3]
    about = json.loads(written[2].read_text())
    assert about == {"classes": CLASSES, "sha256": split_files.load(tmp_path / "test").digest}


def test_the_baseline_agrees_with_itself(pipeline: Path) -> None:
    answers = pipeline / "metrics" / "predictions"
    assert (answers / "reference.txt").read_bytes() == (answers / "baseline_train.txt").read_bytes()
