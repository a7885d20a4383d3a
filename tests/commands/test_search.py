"""The command, over real git and DVC: killed, begun again, confirmed and applied."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import small_study
import toy

from slimline import params
from slimline.repository import refs

pytestmark = pytest.mark.slow

RECORDS = "refs/slimline/search/"
TRIALS = 5


def wait_for(is_so: Callable[[], bool], seconds: float = 240) -> None:
    given_up = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < given_up
        time.sleep(0.1)


def settings_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    monkeypatch.chdir(folder)
    found = [each for each in refs.read(RECORDS).values() if each["seed"] is None]
    return [each["settings"] for each in sorted(found, key=lambda each: each["number"])]


def test_a_search_that_is_killed_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = {"candidates": 1, "seeds": 0}
    killed = small_study.make(tmp_path / "killed", trials=TRIALS, seconds=2.0, confirm=none)
    begun = small_study.begin(killed)
    log = killed / ".git" / "search.log"
    wait_for(lambda: "trial 2" in log.read_text())
    time.sleep(2)
    os.kill(begun.pid, signal.SIGKILL)
    begun.wait()
    assert len(small_study.refs(killed)) == 1
    again = small_study.search(killed)
    assert again.returncode == 0, again.stderr
    assert "trial 1 " not in again.stderr
    assert "not confirmed with other seeds yet" in (killed / "metrics/search.html").read_text()

    whole = small_study.make(tmp_path / "whole", trials=TRIALS, confirm=none)
    assert small_study.search(whole).returncode == 0
    found = [settings_of(each, monkeypatch) for each in (killed, whole)]
    assert found[0] == found[1]
    assert len(found[0]) == TRIALS
    # A finished search has nothing more to run.
    assert "trial" not in small_study.search(whole).stderr.replace(f"best of {TRIALS} trials", "")


def test_the_best_is_confirmed_and_applied_as_a_plain_change(tmp_path: Path) -> None:
    folder = small_study.make(
        tmp_path / "small",
        trials=3,
        confirm={"candidates": 2, "seeds": 1},
        space={"prune.threshold": {"choices": [0.3, 0.4, 0.9]}},
    )
    early = small_study.search(folder, "apply")
    assert early.returncode == 2
    assert "there are no trials yet" in early.stderr
    done = small_study.search(folder)
    assert done.returncode == 0, done.stderr
    assert "failed: prune: training ends in numbers that are not finite" in done.stderr
    assert "confirmed: over 1 other seeds 240 KiB" in done.stderr
    assert "on the test split" in done.stderr
    shown = toy.git(folder, "status", "--porcelain", "--untracked-files=all")
    assert shown.split() == ["??", "metrics/search.html"]
    shown = toy.dvc(folder, "exp", "list", "--name-only").stdout.split()
    assert len([each for each in shown if each.startswith("search-")]) == 3
    applied = small_study.search(folder, "apply")
    assert "prune.threshold: 0.3 -> 0.4" in applied.stdout
    changed = toy.git(folder, "diff", "--unified=0", "params.yaml").splitlines()
    assert [line for line in changed if line.startswith("+ ")] == ["+  threshold: 0.4"]


def test_what_is_killed_twice_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = {"prune.threshold": {"choices": [small_study.KILLED, 0.9]}}
    folder = small_study.make(tmp_path / "small", trials=2, space=space)
    killed = small_study.search(folder)
    assert killed.returncode == 2
    assert "stage prune was killed: failed to reproduce 'prune'" in killed.stderr
    again = small_study.search(folder)
    assert again.returncode == 1
    monkeypatch.chdir(folder)
    reasons = [each["reason"] for each in refs.read(RECORDS).values() if each["state"] == "failed"]
    assert len(reasons) == 2
    assert sum(each.startswith("twice stage prune was killed") for each in reasons) == 1


def test_what_cannot_begin_is_a_sentence(tmp_path: Path) -> None:
    folder = small_study.make(tmp_path / "small", space={})
    empty = small_study.search(folder)
    assert (empty.returncode, empty.stdout) == (2, "")
    assert empty.stderr.startswith("params.yaml: search.space is empty")
    toy.set_params(folder, {"search.space": small_study.SPACE})
    changed = small_study.search(folder)
    assert changed.returncode == 2
    assert changed.stderr.startswith("params.yaml is not committed")
    toy.commit(folder, "Search")
    alone = small_study.search(folder, "work")
    assert "needs --storage and --remote" in alone.stderr
    nowhere = small_study.search(folder, "--remote", "origin")
    assert nowhere.stderr.startswith("`git fetch` failed: ")
    toy.git(folder, "remote", "add", "origin", str(folder))
    keepless = small_study.search(folder, "--remote", "origin")
    assert keepless.returncode == 2
    assert keepless.stderr.startswith("--remote: models and run cache need a DVC remote: ")
    assert "trial 1" not in keepless.stderr
    assert "there are no trials yet" in small_study.search(folder, "report").stderr
    toy.set_params(folder, {"search.space": {"prune.treshold": {"low": 0.1, "high": 0.2}}})
    wrong = small_study.search(folder)
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1
    assert params.PARAMS_PATH.name in wrong.stderr
