"""What a trial runs, where it ends on the way, and what a killed one leaves behind."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import small_study
import toy

from slimline import params
from slimline.repository import refs
from slimline.search import experiment, own_clone
from slimline.search.experiment import Check, Ran, StageError
from slimline.search.space import Settings

NAME, TARGETS = "search-1-2", ["evaluate@int8_export"]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, one of a larger repository, as a search finds it."""
    folder = small_study.make(tmp_path / "all" / "part", root=tmp_path / "all")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(toy.ROOT))
    own_clone.prepare()
    return folder


def run(settings: Settings, check: Check | None = None) -> Ran:
    base = refs.git("rev-parse", "HEAD").strip()
    written = params.read(Path("params.yaml"))
    return experiment.run(NAME, settings, written, TARGETS, base, check=check)


@pytest.mark.slow
def test_a_trial_ends_where_the_rest_is_not_worth_it_and_goes_on_from_there(study: Path) -> None:
    (study / "notes.txt").write_text("Mine, and not committed")
    settings = {"prune.threshold": 0.5}
    stopping = Check("prune", lambda described: f"cut {described('prune')['threshold']}")
    ran = run(settings, stopping)
    assert (ran.stopped, ran.commit) == ("cut 0.5", "")
    assert list(ran.seconds) == ["baseline_train", "prune"]
    assert experiment.find(NAME) is None

    again = run(settings, Check("prune", lambda _: ""))
    assert again.reused == ["baseline_train", "prune"]
    assert list(again.seconds) == ["int8_export", "evaluate@int8_export"]
    assert again.commit == experiment.find(NAME)
    assert "threshold: 0.5" in (refs.file_at(again.commit, "params.yaml") or "")
    # The user's own clone has nothing of it but the experiment.
    assert refs.git("symbolic-ref", "HEAD").strip() == "refs/heads/main"
    assert refs.git("status", "--porcelain").split() == ["??", "part/notes.txt"]
    assert not (study / "models" / "prune").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("study")
def test_a_failed_trial_says_what_had_run() -> None:
    with pytest.raises(StageError, match="prune: training ends in numbers that are not") as failed:
        run({"prune.threshold": 0.9})
    assert list(failed.value.ran.seconds) == ["baseline_train"]


@pytest.mark.slow
@pytest.mark.usefixtures("study")
def test_what_a_killed_trial_left_in_the_clone_is_thrown_away() -> None:
    clone = own_clone.ROOT
    (own_clone.project() / "params.yaml").write_text("half of")
    (clone / "rest.txt").write_text("")
    (clone / ".git" / "index.lock").touch()
    tmp = own_clone.project() / ".dvc" / "tmp"
    tmp.mkdir(exist_ok=True)
    (tmp / "rwlock").write_text("{")
    toy.git(clone, "update-ref", "refs/exps/stash", "HEAD")
    assert run({"prune.threshold": 0.4}).commit


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["HEAD", "config", ""])
def test_a_broken_clone_is_made_anew_and_the_user_s_stays(lost: str, study: Path) -> None:
    """Git looks for a repository above a folder that is none, and that would be the user's."""
    origin = study.parent.parent / "origin.git"
    toy.git(study, "clone", "--quiet", "--bare", str(study.parent), str(origin))
    toy.git(study, "remote", "add", "origin", str(origin))
    first = run({"prune.threshold": 0.4}).commit
    (study / "made_up.py").write_text("edited")
    broken = own_clone.ROOT / ".git" / lost
    shutil.rmtree(broken) if broken.is_dir() else broken.write_text("cut of")
    own_clone.prepare()
    assert (study / "made_up.py").read_text() == "edited"
    assert refs.git("symbolic-ref", "HEAD").strip() == "refs/heads/main"
    assert experiment.find(NAME) == first
    assert run({"prune.threshold": 0.3}).commit


@pytest.mark.slow
@pytest.mark.usefixtures("study")
def test_dvc_need_not_hash_again_what_it_knows() -> None:
    run({"prune.threshold": 0.4})
    age = own_clone.project() / ".dvc" / "tmp" / "btime"
    before = age.stat().st_mtime_ns
    own_clone.reset(refs.git("rev-parse", "HEAD").strip())
    assert age.stat().st_mtime_ns == before


@pytest.mark.usefixtures("study")
def test_nothing_of_a_child_lives_on_where_a_look_fails() -> None:
    code = (
        "import subprocess as s; p = s.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    )

    def look() -> None:
        with experiment._child([sys.executable, "-c", code]) as process:
            assert process.stdout is not None
            grandchildren.append(int(process.stdout.readline()))
            raise KeyError

    grandchildren: list[int] = []
    with pytest.raises(KeyError):
        look()
    wait_for(lambda: not is_running(grandchildren[0]))


def test_dvc_does_not_begin_where_the_search_is_dead() -> None:
    command = [sys.executable, "-m", "slimline.search.dvc_child", "-1", "--version"]
    done = subprocess.run(
        command, cwd=toy.ROOT, capture_output=True, start_new_session=True, check=False
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")


@pytest.mark.parametrize(
    ("lines", "done"),
    [
        (["Running stage 'a':", "Stage 'b' didn't change, skipping"], ["", "a"]),
        (
            ["Stage 'b' is cached - skipping run, checking out outputs", "Running stage 'c':"],
            ["", "b"],
        ),
        (
            ["Pulling data for stage: 'a'", "Running stage 'a':", "Running stage 'b':"],
            ["", "", "a"],
        ),
        (
            ["Running stage 'a':", "> python -m stages.a", "\nRan experiment(s): x"[1:]],
            ["", "", "a"],
        ),
    ],
)
def test_dvc_tells_what_is_done(lines: list[str], done: list[str]) -> None:
    told = experiment._Told()
    assert [told.read(f"{line}\n") for line in lines] == done


def is_running(number: int) -> bool:
    listed = ["ps", "-o", "stat=", "-p", str(number)]
    state = subprocess.run(listed, capture_output=True, text=True, check=False).stdout.strip()
    return bool(state) and not state.startswith("Z")


def wait_for(is_so: Callable[[], bool], seconds: float = 60) -> None:
    given_up = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < given_up
        time.sleep(0.1)
