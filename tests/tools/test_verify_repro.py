"""On a tiny pipeline whose stages have the names of the real ones."""

import subprocess
import sys
from pathlib import Path

import pytest
import toy

SCRIPT = Path(__file__).parents[2] / "tools/verify_repro.py"
PIPELINE = """\
stages:
  int8_export: {{cmd: 'echo {content} > models/int8_export', outs: [models/int8_export]}}
  int8_ptq: {{cmd: echo ptq > models/int8_ptq, outs: [models/int8_ptq]}}
  int8_dynamic: {{cmd: echo dynamic > models/int8_dynamic, outs: [models/int8_dynamic]}}
  float16: {{cmd: echo half > models/float16, outs: [models/float16]}}
  evaluate:
    cmd: mkdir -p metrics/evaluate && cp models/int8_export metrics/evaluate/int8_export.json
    deps: [models/int8_export]
    metrics: [{{metrics/evaluate/int8_export.json: {{cache: false}}}}]
"""


@pytest.fixture
def verification(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the clones, so that what is left behind can be seen."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    return scratch


def make_project(folder: Path, content: str) -> Path:
    (folder / "models").mkdir(parents=True)
    (folder / "models/.gitignore").write_text("*\n!.gitignore\n")
    (folder / "dvc.yaml").write_text(PIPELINE.format(content=content))
    run(folder, "git", "init", "--quiet")
    toy.init_dvc(folder, "[core]\n    analytics = false\n")
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    run(folder, "git", "add", ".")
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    settings = [*identity, "-c", "commit.gpgsign=false", "-c", "core.hooksPath=no-hooks"]
    run(folder, "git", *settings, "commit", "--quiet", "--message", "commit")


def run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def verify(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_two_clones_with_the_same_bytes_pass(verification: Path, tmp_path: Path) -> None:
    done = verify(make_project(tmp_path / "project", content="int8"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Reproduced in") == 2
    assert done.stdout.count("Running stage 'int8_export'") == 2
    assert done.stdout.endswith("5 files compared, 0 not the same.\n")
    assert list(verification.glob("verify-repro-*")) == []


def test_a_path_inside_a_model_is_found(verification: Path, tmp_path: Path) -> None:
    done = verify(make_project(tmp_path / "project", content="$PWD"))
    assert done.returncode == 1, done.stderr
    assert "differs: metrics/evaluate/int8_export.json\n" in done.stdout
    assert "differs: models/int8_export\n" in done.stdout
    assert "5 files compared, 2 not the same.\n" in done.stdout
    assert len(list(verification.glob("verify-repro-*/*/"))) == 2


def test_the_workspace_can_stand_in_for_the_second_clone(
    verification: Path, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", content="int8")
    run(project, sys.executable, "-m", "dvc", "repro")
    commit(project)
    assert verify(project, "--against-workspace").returncode == 0

    (project / "models/int8_ptq").unlink()
    done = verify(project, "--against-workspace")
    assert done.returncode == 1
    assert f"missing in {project}: models/int8_ptq\n" in done.stdout
    assert done.stdout.count("Running stage 'int8_export'") == 1
    assert len(list(verification.glob("verify-repro-*"))) == 1


@pytest.mark.usefixtures("verification")
def test_a_failing_pipeline_is_one_sentence(tmp_path: Path) -> None:
    done = verify(make_project(tmp_path / "project", content="x; exit 3"))
    assert done.returncode == 2
    assert "verify_repro: dvc repro failed" in done.stderr
    assert "Traceback" not in done.stderr
