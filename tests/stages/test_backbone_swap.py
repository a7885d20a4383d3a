from itertools import pairwise
from pathlib import Path

from slimline import files


def test_frozen_then_unfrozen(pipeline: Path) -> None:
    lines = (pipeline / "models" / "backbone_swap" / "history.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines[1:]] == ["frozen", *["unfrozen"] * 3]


def test_the_parent_is_named_by_its_hash(pipeline: Path) -> None:
    models = pipeline / "models"
    chain = ("baseline_train", "backbone_swap", "prune", "qat_finetune", "int8_export")
    for parent, child in pairwise(chain):
        expected = files.hash_file(models / parent / "model.json")
        assert files.read_json(models / child / "model.json")["sha256"]["parent"] == expected
