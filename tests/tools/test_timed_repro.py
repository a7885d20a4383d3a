import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import toy

SCRIPT = Path(__file__).parents[2] / "tools/timed_repro.py"
PIPELINE = """\
stages:
  first:
    cmd: echo hello from first > first.txt
    deps: [source.txt]
    outs: [first.txt]
  second:
    cmd: sleep 0.3 && test ! -e broken && cp first.txt second.txt
    deps: [first.txt]
    outs: [second.txt]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "source.txt").write_text("source\n")
    toy.init_dvc(tmp_path, "[core]\n    no_scm = True\n    analytics = false\n")
    return tmp_path


def run_dvc(project: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=project, check=True)


def timed_repro(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, cwd=project, capture_output=True, text=True)


def seconds(output: str) -> dict[str, float]:
    table = output.split("  seconds  stage\n")[1]
    return {name: float(value) for value, name in re.findall(r"([\d.]+)  (\w+)", table)}


def test_prints_what_dvc_prints_then_the_seconds_of_each_stage(project: Path) -> None:
    done = timed_repro(project)
    assert done.returncode == 0, done.stderr
    assert "Running stage 'first':\n> echo hello from first > first.txt" in done.stdout
    times = seconds(done.stdout)
    assert list(times) == ["first", "second", "total"]
    assert times["second"] >= 0.3
    assert times["total"] >= times["second"]
    assert (project / "second.txt").read_text() == "hello from first\n"

    again = timed_repro(project)
    assert again.returncode == 0
    assert "Stage 'second' didn't change, skipping" in again.stdout
    assert list(seconds(again.stdout)) == ["total"]


def test_a_wrong_setting_is_refused_before_dvc_reads_anything(project: Path) -> None:
    """DVC would say of `../..` that an item is both a dependency and an output, of whatever."""
    text = (SCRIPT.parents[1] / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("source: fashion_mnist", "source: ../.."))
    done = timed_repro(project)
    assert done.returncode == 2
    assert "params.yaml: data.source: must be the name of a folder in data/raw" in done.stderr
    assert "(given '../..')" in done.stderr
    assert "Running stage" not in done.stdout


def test_photos_that_dvc_keeps_are_brought_or_a_sentence_says_how(project: Path) -> None:
    text = (SCRIPT.parents[1] / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("source: fashion_mnist", "source: my shoes"))
    photo = project / "data/raw/my shoes/boot/1.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(b"photo")
    run_dvc(project, "add", "--quiet", "data/raw/my shoes")
    shutil.rmtree(project / "data/raw/my shoes")
    assert timed_repro(project, "first").returncode == 0, "one stage may not need the photos"
    assert not photo.exists()
    done = timed_repro(project)
    assert done.returncode == 0, done.stderr
    assert photo.read_bytes() == b"photo"
    shutil.rmtree(project / "data/raw/my shoes")
    shutil.rmtree(project / ".dvc/cache")
    done = timed_repro(project)
    assert done.returncode == 0, done.stderr
    assert "is in DVC but not here, and is not needed: what is committed is of" in done.stdout
    (project / "source.txt").write_text("another\n")
    failed = timed_repro(project)
    assert failed.returncode == 2
    assert "data/raw/my shoes is in DVC but not here: `dvc checkout` brings it" in failed.stderr


def test_passes_arguments_on_and_returns_the_exit_code_of_dvc(project: Path) -> None:
    (project / "broken").touch()
    only_first = timed_repro(project, "first")
    assert list(seconds(only_first.stdout)) == ["first", "total"]

    failed = timed_repro(project)
    assert failed.returncode == 255
    assert "failed to reproduce 'second'" in failed.stderr
    assert list(seconds(failed.stdout)) == ["second", "total"]
