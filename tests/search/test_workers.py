"""Three workers in three clones: one is killed, one comes late, and nothing is lost or doubled."""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import object_storage
import postgres
import pytest
import small_study
import toy

from slimline.repository import refs

pytestmark = pytest.mark.slow

TRIALS = 9
RECORDS = "refs/slimline/search/"


def clone(origin: Path, folder: Path) -> Path:
    toy.git(origin, "clone", "--quiet", str(origin), str(folder))
    small_study.name_user(folder)
    return folder


def make(folder: Path, remote: str = "", **options: str) -> Path:
    """Return a bare repository of a study, its commit naming a DVC remote: a folder by default."""
    begun = small_study.make(folder / "begun", seconds=1.0, trials=TRIALS)
    if not remote:
        remote = str(folder / "dvc-remote")
        Path(remote).mkdir()
    small_study.dvc(begun, "remote", "add", "--default", "store", remote)
    for name, value in options.items():
        small_study.dvc(begun, "remote", "modify", "store", name, value)
    toy.commit(begun, "Name the remote")
    toy.git(folder, "clone", "--quiet", "--bare", str(begun), str(folder / "origin.git"))
    return folder / "origin.git"


def wait_for(is_so: Callable[[], bool], seconds: float = 240) -> None:
    given_up = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < given_up
        time.sleep(0.1)


def check(origin: Path, storage: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let three work, kill one amid a trial, begin one late; look at what the remotes have."""
    options = ["work", "--storage", storage, "--remote", "origin", "--patience", "60"]
    clones = [clone(origin, folder / f"clone{each}") for each in range(3)]
    first, second = (small_study.begin(each, *options) for each in clones[:2])
    log = clones[1] / ".git" / "search.log"
    wait_for(lambda: "trial 2" in log.read_text() or "trial 3" in log.read_text())
    time.sleep(1)
    os.kill(second.pid, signal.SIGKILL)
    second.wait()
    late = small_study.begin(clones[2], *options)
    for each, where in ((first, clones[0]), (late, clones[2])):
        assert each.wait(600) == 0, (where / ".git" / "search.log").read_text()

    fresh = clone(origin, folder / "fresh")
    toy.git(fresh, "fetch", "--quiet", "origin", f"+{RECORDS}*:{RECORDS}*")
    monkeypatch.chdir(fresh)
    found = refs.read(RECORDS)
    assert len(found) == TRIALS
    assert max(Counter(each["trial"] for each in found.values()).values()) == 1
    # Whoever it was that ran it, each product is on the remotes.
    made = [each["experiment"] for each in found.values() if each["experiment"]]
    listed = subprocess.run(
        ["dvc", "exp", "list", "--all-commits", "--name-only", "origin"],
        cwd=fresh,
        env=toy.of_stages(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert set(made) <= set(listed)

    done = small_study.search(fresh, "confirm", "--remote", "origin")
    assert "best of 9 trials" in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr
    applied = small_study.search(fresh, "apply")
    assert applied.returncode == 0, applied.stderr
    best = applied.stderr.split("from ")[1].split(":")[0]
    toy.git(fresh, "restore", ".")
    small_study.dvc(fresh, "exp", "pull", "origin", best)
    small_study.dvc(fresh, "exp", "apply", best)
    run_by = next(each["worker"] for each in found.values() if each["experiment"] == best)
    there = Path(run_by.partition(":")[2])
    small_study.dvc(there, "exp", "apply", best)
    product = "models/int8_export/model.json"
    assert (fresh / product).read_bytes() == (there / product).read_bytes()


def test_with_postgresql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres.running() as url:
        check(make(tmp_path), url, tmp_path, monkeypatch)


def test_with_a_journal_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(make(tmp_path), str(tmp_path / "study.journal"), tmp_path, monkeypatch)


def test_with_models_on_object_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with object_storage.running(monkeypatch) as url:
        origin = make(tmp_path, f"s3://{object_storage.BUCKET}/study", endpointurl=url)
        check(origin, str(tmp_path / "study.journal"), tmp_path, monkeypatch)
