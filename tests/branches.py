"""Branches of a project under real git and DVC, whose stages make figures up instead of training.

Each branch was changed, run, committed and pushed as a person would, `store` brings what DVC keeps
of all of them away; `origin.git` is a bare repository, `storage` a folder that DVC pushes to and
re-hashes what it pulls from.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import repository
import toy

_PIPELINE = """\
stages:
  validate_params:
    cmd: >-
      mkdir -p data/raw/fashion_mnist &&
      python -m stages.validate_params params.yaml data/raw metrics/params.ok
    params:
    - params.yaml:
    outs:
    - metrics/params.ok:
        cache: false
  baseline_train:
    cmd: mkdir -p models && cp baseline.txt models/baseline_train
    deps:
    - baseline.txt
    - metrics/params.ok
    outs:
    - models/baseline_train
  int8_export:
    cmd: python make.py
    deps:
    - make.py
    - models/baseline_train
    params:
    - prune.threshold
    outs:
    - models/int8_export
    - metrics/evaluate:
        cache: false
    - metrics/latency:
        cache: false
    - metrics/predictions:
        cache: false
"""

_SCRIPT = """\
# The product shrinks with the threshold; it answers LOST of 2000 images wrong.
from pathlib import Path

import tiny_model
from repository import State, write_metrics
from ruamel.yaml import YAML

LOST = 0
params = YAML(typ="safe", pure=True).load(Path("params.yaml"))
state = State(lost=LOST, size_kib=1300 - 2000 * params["prune"]["threshold"])
tiny_model.write(Path("models/int8_export"))
write_metrics(Path("metrics"), state)
"""


def make(folder: Path) -> Path:
    """Return a folder with `origin.git`, `storage` and a working clone `work`, on main."""
    work = folder / "work"
    work.mkdir(parents=True)
    toy.git(folder, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
    toy.git(work, "init", "--quiet", "--initial-branch=main")
    for key, value in {"user.email": "toy@example.org", "user.name": "Toy"}.items():
        toy.git(work, "config", key, value)
    toy.git(work, "remote", "add", "origin", (folder / "origin.git").as_uri())
    toy.init_dvc(
        work,
        "[core]\n    remote = storage\n"
        f"['remote \"storage\"']\n    url = {folder / 'storage'}\n    verify = true\n",
    )
    for name in ("params.yaml", "variants.yaml"):
        shutil.copy2(toy.ROOT / name, work)
    toy.set_params(work, repository.SETTINGS)
    (work / "dvc.yaml").write_text(_PIPELINE)
    (work / "make.py").write_text(_SCRIPT)
    (work / "baseline.txt").write_text("weights")
    publish(work)
    return folder


@contextmanager
def branch(work: Path, name: str) -> Iterator[None]:
    """Go to a new branch of main, and back to main after what is done there."""
    toy.git(work, "switch", "--quiet", "--create", name, "main")
    yield
    toy.git(work, "switch", "--quiet", "main")


def publish(work: Path) -> None:
    """Run the pipeline, commit what came out, and push it."""
    run(work, "-m", "dvc", "repro", "--quiet")
    toy.commit(work, "Run the pipeline")
    toy.git(work, "push", "--quiet", "origin", "HEAD")


def store(work: Path) -> None:
    """Push what DVC keeps of all branches."""
    toy.dvc(work, "push", "--quiet", "--all-branches", "--run-cache")


def replace(path: Path, old: str, new: str) -> None:
    """Change a file that has `old` exactly once."""
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def shallow_clone(folder: Path, name: str, target: Path) -> Path:
    """Clone the tip of a branch, and that of main, without the history that joins them."""
    url = (folder / "origin.git").as_uri()  # a plain path would ignore --depth
    toy.git(folder, "clone", "--quiet", "--depth", "1", "--branch", name, url, str(target))
    tip = "+refs/heads/main:refs/remotes/origin/main"
    toy.git(target, "fetch", "--quiet", "--no-tags", "--depth", "1", "origin", tip)
    assert toy.git(target, "rev-list", "--all", "--count").strip() == "2"
    return target


def run(
    folder: Path, *arguments: str | Path, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder that has no code of ours: stages and commands are those of here."""
    path = os.pathsep.join(map(str, (toy.ROOT, toy.ROOT / "tests")))
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=toy.of_stages() | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if check and done.returncode:
        raise AssertionError(f"{arguments}:\n{done.stdout}\n{done.stderr}")
    return done
