from pathlib import Path

import numpy as np

from slimline import files
from slimline.measure import recall_table


def test_a_row_per_class_and_none_of_a_class_that_was_not_tested(tmp_path: Path) -> None:
    labels, answers = np.array([0, 0, 0, 2]), np.array([0, 0, 1, 2])
    recall_table.write(tmp_path / "m.tsv", answers, labels, ["a cat", "ünlü köpek", "bird"])
    assert files.read_table(tmp_path / "m.tsv") == [
        {"class": "a cat", "images": "3", "right": "2", "recall": "66.667"},
        {"class": "ünlü köpek", "images": "0", "right": "0", "recall": ""},
        {"class": "bird", "images": "1", "right": "1", "recall": "100.0"},
    ]
