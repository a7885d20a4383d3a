"""What the report says of layers that pruning had to leave as wide as they were."""

from pathlib import Path

import finished
import pytest

from slimline import files

SENTENCE = "As wide as they were, since what reads them fixes their width"


@pytest.mark.parametrize("name", ["report.md", "report.html"])
def test_they_are_named_where_there_are_any(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished.make(tmp_path / "toy")
    assert SENTENCE not in finished.run(folder, monkeypatch)[name]
    path = folder / "models" / "prune" / "model.json"
    files.write_json(path, files.read_json(path) | {"whole": ["gate.place", "body.0.c2"]})
    said = finished.run(folder, monkeypatch)[name]
    assert f"{SENTENCE} or cannot be followed: gate.place, body.0.c2." in said
