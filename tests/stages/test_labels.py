import json
from pathlib import Path

import numpy as np

from slimline.data import splits
from slimline.data.preprocessing import Preprocessing
from slimline.data.splits import Split
from slimline.measure import accuracy
from stages import labels


def test_labels_and_hostile_names_survive(tmp_path: Path) -> None:
    frame = Preprocessing(2, 2, channels=1, mean=(0.5,), std=(0.5,))
    names = ["<script>", 'a "b"\u2028c']
    split = Split(np.zeros([3, 2, 2, 1], np.uint8), np.array([1, 0, 1]), names, frame)
    splits.save(tmp_path / "test", split)
    labels.main(tmp_path / "test", tmp_path / "labels.txt", tmp_path / "about.json")
    assert accuracy.read_predictions(tmp_path / "labels.txt").tolist() == [1, 0, 1]
    about = json.loads((tmp_path / "about.json").read_text())
    assert about == {"classes": names, "sha256": splits.load(tmp_path / "test").digest}
