import csv
from pathlib import Path

import numpy as np

from slimline import files
from slimline.report import confusion


def test_pairs_that_occur_are_counted() -> None:
    labels, answers = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1])
    assert confusion.rows(answers, labels, ["a", "b"]) == [
        {"actual": "0 a", "predicted": "0 a", "images": 1},
        {"actual": "0 a", "predicted": "1 b", "images": 2},
        {"actual": "1 b", "predicted": "1 b", "images": 1},
    ]


def test_any_name_is_one_cell(tmp_path: Path) -> None:
    names = ['"quoted', "tab\tand\nline", "x" * 10_000, *"defghijk"]
    labels = np.arange(len(names))
    files.write_table(tmp_path / "confusion.tsv", confusion.rows(labels, labels, names))
    with (tmp_path / "confusion.tsv").open(newline="") as file:
        # As DVC reads it.
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["images"] for row in rows] == ["1"] * len(names)
    assert [row["actual"] for row in rows[:2]] == ['00 "quoted', "01 tab and line"]
    assert rows == sorted(rows, key=lambda row: row["actual"])
