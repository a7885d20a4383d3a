"""What the report says of layers that pruning had to leave as wide as they were."""

from pathlib import Path

import finished
import pytest

from slimline import files
from slimline.pruning.whole_layers import WholeLayer

SENTENCE = "As wide as they were, since what reads them (in brackets) fixes their width"
WHOLE = [
    WholeLayer("gate.place", "*", "gate"),
    WholeLayer("body.0.c2", "LayerNorm", "body.0.norm"),
    WholeLayer("body.1.c2", "LayerNorm", "body.1.norm"),
]


@pytest.mark.parametrize("name", ["report.md", "report.html"])
def test_they_are_named_where_there_are_any(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished.make(tmp_path / "toy")
    assert SENTENCE not in finished.run(folder, monkeypatch)[name]
    path = folder / "models" / "prune" / "model.json"
    whole = [each.to_dict() for each in WHOLE]
    files.write_json(path, files.read_json(path) | {"whole": whole})
    said = finished.run(folder, monkeypatch)[name]
    asterisk = r"\*" if name == "report.md" else "*"
    assert (
        f"{SENTENCE} or cannot be followed: gate.place ({asterisk} at gate); body.0.c2, body.1.c2 "
        "(LayerNorm at body.0.norm and 1 other place)." in said
    )
