"""What a killed trial leaves behind."""

import json
from pathlib import Path

import pytest

from slimline.search import experiment


def test_folders_of_killed_trials_are_removed_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exps = tmp_path / ".dvc" / "tmp" / "exps"
    names = {"search-1-2": "standalone/a", "mine": "standalone/b", "search-1-3": "elsewhere/c"}
    for at, (name, place) in enumerate(names.items()):
        (exps / place).mkdir(parents=True)
        (exps / place / "images.npy").write_bytes(b"0")
        info = exps / "run" / str(at) / f"{at}.run"
        info.parent.mkdir(parents=True)
        info.write_text(json.dumps({"name": name, "root_dir": str(exps / place)}))
    (exps / "run" / "2" / "2.run").write_text("{")
    experiment.clear_dead()
    assert [path.name for path in sorted(exps.rglob("*/images.npy"))] == ["images.npy"] * 2
    assert not (exps / "standalone" / "a").exists()
    assert sorted(path.name for path in (exps / "run").iterdir()) == ["1", "2"]
    experiment.clear_dead()
