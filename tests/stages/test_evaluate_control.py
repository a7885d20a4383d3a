from pathlib import Path

import numpy as np
import pytest
import tiny_model
import toy

from slimline import files
from slimline.data import split_files
from slimline.data.split_files import Split
from slimline.measure import accuracy
from stages import evaluate_control


def test_without_a_control_there_is_no_answer(pipeline: Path) -> None:
    assert (pipeline / "metrics" / "predictions" / "prune_control.txt").read_text() == ""


def test_a_control_answers_every_test_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model.write(tmp_path / "prune_control")
    images = np.zeros((3, 8, 8, 1), np.uint8)
    images[0, :4, :4], images[1, 4:, :4], images[2, 4:, 4:] = 255, 255, 255
    split = Split(images, np.array([0, 2, 1]), tiny_model.CLASSES, tiny_model.FRAME)
    monkeypatch.setattr(split_files, "load", lambda _: split)
    monkeypatch.chdir(toy.ROOT)
    target = tmp_path / "prune_control.txt"
    evaluate_control.main(model, tmp_path, target)
    assert accuracy.read_predictions(target).tolist() == [0, 2, 3]
    files.write_json(tmp_path / "none" / "model.json", {})
    evaluate_control.main(tmp_path / "none", tmp_path, target)
    assert target.read_text() == ""
