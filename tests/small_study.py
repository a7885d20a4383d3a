"""A repository with a search of which a trial takes seconds: real git, real DVC, made-up models.

The stages have the names of the real ones, and figures that follow from the settings by a formula.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import toy

_PIPELINE = """\
stages:
  baseline_train:
    cmd: python made_up.py baseline_train
    deps: [made_up.py]
    params: [seed]
    outs: [models/baseline_train]
  prune:
    cmd: python made_up.py prune
    deps: [made_up.py, models/baseline_train]
    params: [seed, prune]
    outs: [models/prune]
  int8_export:
    cmd: python made_up.py int8_export
    deps: [made_up.py, models/prune]
    params: [int8_export]
    outs: [models/int8_export]
  evaluate:
    foreach: [baseline_train, int8_export]
    do:
      cmd: python made_up.py evaluate ${item}
      deps: [made_up.py, "models/${item}"]
      metrics:
      - metrics/evaluate/${item}.json: {cache: false}
"""

_MADE_UP = '''\
"""Models that are a few figures."""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from ruamel.yaml import YAML

stage, *rest = sys.argv[1:]
params = YAML(typ="safe", pure=True).load(Path("params.yaml"))
prune, seed = params["prune"], params["seed"]
threshold, epochs = prune["threshold"], prune["recover"]["epochs"]
noise = random.Random(f"{seed} {threshold} {epochs}").uniform(-0.1, 0.1)


def write(path, content):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


if stage == "baseline_train":
    write("models/baseline_train/model.json", {"validation_top1": 90.0})
elif stage == "prune":
    time.sleep(SECONDS)
    if threshold == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    if threshold > 0.8:
        print("training ends in numbers that are not finite", file=sys.stderr)
        sys.exit(2)
    top1 = 90.5 - 4 * threshold**2 + 0.2 * min(epochs, 2) + noise
    write("models/prune/model.json", {"validation_top1": top1, "threshold": threshold})
elif stage == "int8_export":
    made = json.loads(Path("models/prune/model.json").read_text())
    write("models/int8_export/model.json", {**made, "parity": {"images": 1000}})
else:
    made = json.loads(Path(f"models/{rest[0]}/model.json").read_text())
    share = 1 - made.get("threshold", 0)
    write(
        f"metrics/evaluate/{rest[0]}.json",
        {
            "validation_top1": made["validation_top1"],
            "top1": made["validation_top1"] - 0.7,
            "size_kib": 400 * share,
            "macs_m": 20 * share,
            "int8_macs": 100.0,
        },
    )
'''

KILLED = 0.85
"""The threshold at which a stage is killed, as where memory runs out."""
SPACE: dict[str, Any] = {
    "prune.threshold": {"low": 0.1, "high": 0.9, "step": 0.1},
    "prune.recover.epochs": {"low": 0.5, "high": 2.0, "step": 0.5},
}


def make(folder: Path, *, seconds: float = 0.0, root: Path | None = None, **search: Any) -> Path:
    """Return a repository with one commit; `search` is what its section has besides.

    With `root` it is a folder of the repository there.
    """
    folder.mkdir(parents=True)
    for name in ("params.yaml", "variants.yaml", ".dvcignore"):
        shutil.copy2(toy.ROOT / name, folder)
    (folder / "dvc.yaml").write_text(_PIPELINE)
    (folder / "made_up.py").write_text(
        _MADE_UP.replace("SECONDS", str(seconds)).replace("KILLED", str(KILLED))
    )
    (folder / "models").mkdir()
    (folder / "models" / ".gitignore").write_text("*\n!.gitignore\n")
    values = {"space": SPACE, "trials": 6, "confirm": {"candidates": 2, "seeds": 2}} | search
    toy.set_params(folder, {f"search.{key}": value for key, value in values.items()})
    toy.git(root or folder, "init", "--quiet", "--initial-branch=main")
    name_user(folder)
    dvc(folder, "init", "--quiet", *(["--subdir"] if root else []))
    for key in ("analytics", "check_update"):
        dvc(folder, "config", f"core.{key}", "false")
    toy.commit(folder, "Begin")
    return folder


def name_user(folder: Path) -> None:
    for key, value in {"user.email": "toy@example.org", "user.name": "Toy"}.items():
        toy.git(folder, "config", key, value)


def dvc(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)


def environment() -> dict[str, str]:
    """Ours, with `slimline` from the repository under test: the made-up one has none."""
    return toy.of_stages() | {"PYTHONPATH": str(toy.ROOT), "PYTHONWARNINGS": "default"}


def search(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = [sys.executable, "-m", "slimline", "search", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


def begin(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Begin the command, in a process of its own."""
    command = [sys.executable, "-m", "slimline", "search", *arguments]
    with (folder / ".git" / "search.log").open("a") as log:
        return subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=log, stderr=log, text=True
        )


def refs(folder: Path) -> list[str]:
    """The names of all records."""
    listed = toy.git(folder, "for-each-ref", "--format=%(refname)", "refs/slimline").splitlines()
    return [os.path.basename(each) for each in listed]  # noqa: PTH119
