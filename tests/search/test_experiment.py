"""What a stopped trial runs and leaves behind, and a killed one."""

import json
from pathlib import Path

import pytest
import small_study
import toy

from slimline import params
from slimline.search import experiment
from slimline.search.experiment import Check


def test_a_trial_ends_where_the_rest_is_not_worth_it_and_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_study.make(tmp_path / "here")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(toy.ROOT))
    name, settings, written = (
        "search-1-2",
        {"prune.threshold": 0.5},
        params.read(Path("params.yaml")),
    )
    targets = ["evaluate@int8_export"]
    stopping = Check("prune", lambda described: f"cut {described('prune')['threshold']}")
    ran = experiment.run(name, settings, written, targets, check=stopping)
    assert (ran.stopped, ran.commit) == ("cut 0.5", "")
    assert list(ran.seconds) == ["baseline_train", "prune"]
    assert experiment.find(name) is None
    assert not list(Path(".dvc/tmp/exps/standalone").glob("*/dvc.yaml"))
    assert not Path("models/prune").exists()

    going_on = Check("prune", lambda _: "")
    again = experiment.run(name, settings, written, targets, check=going_on)
    assert again.reused == ["baseline_train", "prune"]
    assert list(again.seconds) == ["int8_export", "evaluate@int8_export"]
    assert again.commit == experiment.find(name)


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
