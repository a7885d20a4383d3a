from pathlib import Path

import finished
import pytest

from slimline import files
from slimline.report import lineage


def test_weights_that_training_began_with_are_named_once(tmp_path: Path) -> None:
    models = finished.make(tmp_path / "toy") / "models"
    origin = {"source": "published weights", "licence": "BSD-3-Clause"}
    for name in ("backbone_swap", "prune"):
        path = models / name / "model.json"
        files.write_json(path, files.read_json(path) | {"pretrained": origin})
    links = lineage.chain([models / name for name in finished.TRAINED])
    assert lineage.origins(links) == [origin]


def test_a_parent_that_is_another_is_told_by_its_hash(tmp_path: Path) -> None:
    models = finished.make(tmp_path / "toy") / "models"
    path = models / "baseline_train" / "model.json"
    told = files.read_json(models / "backbone_swap" / "model.json")["sha256"]["parent"]
    files.write_json(path, files.read_json(path) | {"made": "anew"})
    links = lineage.chain([models / "baseline_train", models / "backbone_swap"])
    assert [link.parent for link in links] == ["", told]


def test_data_without_a_licence_is_said_to_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished.make(tmp_path / "toy")
    (folder / "data" / "raw" / "toy" / "LICENSE").unlink()
    card = finished.run(folder, monkeypatch)["model_card.md"]
    assert "Licence: no file LICENSE lies beside it." in card
