"""On real git and DVC: a bare repository, a remote that is a folder, clones as shallow as CI's."""

from pathlib import Path

import branches
import pytest
import toy

_SLOW = pytest.mark.slow
_AS_BEFORE = "every image is answered as rightly as before"
SCRIPT = toy.ROOT / "tools" / "pull_request.py"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = branches.make(tmp_path_factory.mktemp("published") / "toy")
    work = folder / "work"
    with branches.branch(work, "smaller"):
        toy.set_params(work, {"prune.threshold": 0.2})
        branches.publish(work)
    with branches.branch(work, "ruined"):
        branches.replace(work / "make.py", "LOST = 0", "LOST = 40")
        branches.publish(work)
    with branches.branch(work, "comment"):
        branches.replace(work / "make.py", "# The product", "# Our product")
        text = (work / "params.yaml").read_text()
        (work / "params.yaml").write_text(f"# A comment.\n{text}")
        branches.publish(work)
    with branches.branch(work, "elsewhere"):
        branches.replace(work / "make.py", "State(lost", 'State(cpu="Other CPU", lost')
        branches.publish(work)
    with branches.branch(work, "not-run"):
        toy.set_params(work, {"prune.threshold": 0.3, "gates.max_top1_drop": 50})
        toy.commit(work, "Prune more, and allow more")
        toy.git(work, "push", "--quiet", "origin", "HEAD")
    branches.store(work)
    return folder


@pytest.mark.parametrize(
    ("name", "with_models", "code", "title", "told"),
    [
        ("smaller", False, 0, "every gate is kept", f"{_AS_BEFORE}; 900 K"),
        ("smaller", True, 0, "every gate is kept", f"{_AS_BEFORE}; 900 K"),
        (
            "ruined",
            False,
            1,
            "2 gates are broken: accuracy lost",
            "0 images won, 40 lost, p < 0",
        ),
        ("comment", True, 0, "every gate is kept", "int8_export is what it was"),
    ],
)
def test_diff_and_gate_say_the_right_thing(
    published: Path, tmp_path: Path, name: str, with_models: bool, code: int, title: str, told: str
) -> None:
    clone = branches.shallow_clone(published, name, tmp_path / "clone")
    if with_models:
        toy.dvc(clone, "pull", "--quiet")
        assert (clone / "models/int8_export/model.onnx").is_file()
    diff = branches.run(clone, "-m", "slimline", "diff", "origin/main")
    assert diff.stdout.startswith(f"## Slimline: {title}")
    assert told in diff.stdout
    assert "its latest fetched commit" in diff.stdout
    gate = branches.run(clone, "-m", "slimline", "gate", "--base", "origin/main", check=False)
    assert gate.returncode == code
    broken = [line.split()[1] for line in gate.stdout.splitlines() if line.startswith("broken")]
    assert broken == (["max_top1_drop", "max_top1_loss"] if code else [])
    verified = branches.run(clone, "-m", "slimline", "verify")
    assert ("models/int8_export: is not here" in verified.stderr) != with_models


def pull_request(clone: Path, base: str = "origin/main") -> tuple[int, str, str]:
    """The exit code, the comment, and what was printed."""
    done = branches.run(clone, SCRIPT, base, "comment.md", check=False)
    return done.returncode, (clone / "comment.md").read_text(), done.stdout + done.stderr


def test_committed_results_are_judged_without_a_run(published: Path, tmp_path: Path) -> None:
    clone = branches.shallow_clone(published, "ruined", tmp_path / "clone")
    code, comment, told = pull_request(clone)
    assert code == 1
    assert comment.startswith("## Slimline: 2 gates are broken")
    assert "not committed" not in comment
    assert "The committed results are of this code and these params." in told
    assert "broken        max_top1_loss" in told
    assert "Running stage" not in told
    assert not (clone / "models/int8_export").exists()
    assert toy.git(clone, "status", "--porcelain").split() == ["??", "comment.md"]


def test_what_cannot_be_judged_fails(published: Path, tmp_path: Path) -> None:
    """As latency of another CPU, without a model to time anew."""
    clone = branches.shallow_clone(published, "elsewhere", tmp_path / "clone")
    toy.dvc(clone, "remote", "remove", "storage")
    code, comment, told = pull_request(clone)
    assert code == 1
    assert "not judged    max_slowdown" in told
    assert "every gate that can be judged is kept, 1 cannot" in comment


def test_results_that_are_older_are_made_anew(published: Path, tmp_path: Path) -> None:
    """With the remote, nothing but what changed is run."""
    clone = branches.shallow_clone(published, "not-run", tmp_path / "clone")
    code, comment, told = pull_request(clone)
    assert code == 0
    assert "**These results were made by this run and are not committed.**" in comment
    assert "answered as rightly as before; 700 KiB" in comment
    places = [
        comment.index(each) for each in ("## Slim", "changes what is allowed", "These results")
    ]
    assert places == sorted(places), "what is loosened stands first"
    assert "Running stage 'int8_export'" in told
    assert "Running stage 'baseline_train'" not in told


@pytest.mark.parametrize(
    "change",
    [("remove", "storage"), pytest.param(("modify", "storage", "url", "s3://toy"), marks=_SLOW)],
)
def test_without_cache_and_remote_all_is_made_anew(
    published: Path, tmp_path: Path, change: tuple[str, ...]
) -> None:
    """A remote of which a fork has no credentials is as one that is not there."""
    clone = branches.shallow_clone(published, "not-run", tmp_path / "clone")
    toy.dvc(clone, "remote", *change)
    code, comment, told = pull_request(clone)
    assert code == 0
    assert "answered as rightly as before; 700 KiB" in comment
    assert "Running stage 'baseline_train'" in told
    assert ("The remote cannot be read" in told) == (change[0] == "modify")


@_SLOW
def test_what_is_damaged_in_the_remote_is_made_anew(published: Path, tmp_path: Path) -> None:
    clone = branches.shallow_clone(published, "not-run", tmp_path / "clone")
    objects = [path for path in (published / "storage/files").rglob("*") if path.is_file()]
    (damaged,) = (path for path in objects if path.read_bytes() == b"weights")
    damaged.chmod(0o644)
    damaged.write_bytes(b"wrights")
    code, _, told = pull_request(clone)
    damaged.write_bytes(b"weights")  # DVC has removed it
    assert code == 0
    assert "Running stage 'baseline_train'" in told
    assert (clone / "models/baseline_train").read_bytes() == b"weights"


def test_a_pipeline_that_fails_is_told(published: Path, tmp_path: Path) -> None:
    clone = branches.shallow_clone(published, "comment", tmp_path / "clone")
    toy.set_params(clone, {"prune.threshold": "many"})
    code, comment, told = pull_request(clone)
    assert code == 2
    assert comment.startswith("## Slimline: the pipeline failed\n")
    assert "params.yaml: prune.threshold: " in told


def test_a_base_that_is_not_there_is_told(published: Path, tmp_path: Path) -> None:
    clone = branches.shallow_clone(published, "comment", tmp_path / "clone")
    code, comment, _ = pull_request(clone, "origin/other")
    assert code == 2
    assert "'origin/other' is no commit that this clone knows" in comment
