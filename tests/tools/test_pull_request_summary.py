"""Against a bare remote and a shallow clone, as on a runner; the DVC project has no cache."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools/pull_request_summary.py"
PIPELINE = """\
stages:
  evaluate:
    cmd: python evaluate.py
    params: [threshold]
    metrics:
    - metrics.json:
        cache: false
"""


def git(folder: Path, *arguments: str) -> str:
    # Settings of the machine must not reach the test: signing, hooks, another default branch.
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    settings = [*identity, "-c", "commit.gpgsign=false", "-c", "core.hooksPath=no-hooks"]
    command = ["git", *settings, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, top1: float, threshold: float) -> None:
    (folder / "metrics.json").write_text(f'{{"top1": {top1}}}\n')
    (folder / "params.yaml").write_text(f"threshold: {threshold}\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", f"top1 {top1}")


def summary(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, cwd=clone, capture_output=True, text=True)


def fetch_main(clone: Path) -> None:
    git(clone, "fetch", "--quiet", "--depth", "1", "origin", "main:refs/remotes/origin/main")


def clone_branch(remote: Path, branch: str, target: Path) -> Path:
    url = remote.as_uri()  # a plain path would ignore --depth
    git(remote, "clone", "--quiet", "--depth", "1", "--branch", branch, url, str(target))
    return target


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository: `better` and `same` left main before its last commit."""
    work = tmp_path_factory.mktemp("work")
    git(work, "init", "--quiet", "--initial-branch", "main")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--quiet"], cwd=work, check=True)
    (work / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (work / "dvc.yaml").write_text(PIPELINE)
    commit(work, top1=90.0, threshold=0.2)
    git(work, "branch", "same")
    git(work, "switch", "--quiet", "--create", "better")
    commit(work, top1=91.5, threshold=0.3)
    git(work, "switch", "--quiet", "main")
    commit(work, top1=90.25, threshold=0.2)
    bare = tmp_path_factory.mktemp("remote") / "project.git"
    git(work, "clone", "--quiet", "--bare", str(work), str(bare))
    return bare


def test_shallow_clone_is_compared_with_the_fetched_tip(remote: Path, tmp_path: Path) -> None:
    clone = clone_branch(remote, "better", tmp_path / "clone")
    fetch_main(clone)
    done = summary(clone, "origin/main")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "## What this pull request changes\n\nCompared with `origin/main`"
    )
    assert "its latest fetched commit" in done.stdout
    tip = short_hash(clone, "origin/main")
    assert cells(done.stdout) == [
        ["Path", "Metric", tip, "HEAD", "Change"],
        ["metrics.json", "top1", "90.25", "91.5", "1.25"],
        ["Path", "Param", tip, "HEAD"],
        ["params.yaml", "threshold", "0.2", "0.3"],
    ]


def test_full_clone_is_compared_with_the_merge_base(remote: Path, tmp_path: Path) -> None:
    clone = clone_branch(remote, "better", tmp_path / "clone")
    git(clone, "fetch", "--quiet", "--unshallow", "origin", "main:refs/remotes/origin/main")
    target = tmp_path / "summary.md"
    target.write_text("Before.\n")
    done = summary(clone, "origin/main", "--output", str(target))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    written = target.read_text()
    assert written.startswith("Before.\n## What")
    assert "where this branch left it" in written
    assert ["metrics.json", "top1", "90.0", "91.5", "1.5"] in cells(written)


def test_says_so_where_nothing_changed(remote: Path, tmp_path: Path) -> None:
    clone = clone_branch(remote, "same", tmp_path / "clone")
    done = summary(clone, "HEAD")
    assert done.returncode == 0, done.stderr
    assert "### Metrics\n\nNo metric changed." in done.stdout
    assert "### Parameters\n\nNo parameter changed." in done.stdout


def test_names_what_dvc_could_not_read(remote: Path, tmp_path: Path) -> None:
    clone = clone_branch(remote, "same", tmp_path / "clone")
    before = short_hash(clone, "HEAD")
    (clone / "metrics.json").write_text('{"top1": ')
    git(clone, "commit", "--quiet", "--all", "--message", "broken")
    done = summary(clone, before)
    assert done.returncode == 0, done.stderr
    assert "\n> DVC failed to load some metrics for following revisions: 'HEAD'." in done.stdout


def test_unknown_ref_says_what_to_fetch(remote: Path, tmp_path: Path) -> None:
    clone = clone_branch(remote, "better", tmp_path / "clone")
    done = summary(clone, "origin/main")
    assert (done.returncode, done.stdout) == (2, "")
    assert "git fetch --depth 1 origin main:refs/remotes/origin/main" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_outside_of_a_dvc_project_is_one_sentence(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "empty")
    done = summary(tmp_path, "HEAD")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "no DVC project" in done.stderr


def short_hash(clone: Path, ref: str) -> str:
    return git(clone, "rev-parse", ref)[:10]


def cells(markdown: str) -> list[list[str]]:
    """The tables of a page, without the line below their headers."""
    rows = [line for line in markdown.splitlines() if line.startswith("|") and "--" not in line]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
