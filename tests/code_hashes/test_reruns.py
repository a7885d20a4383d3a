"""What real DVC runs again after a change of our code: what calls the changed code, no more."""

import re
from pathlib import Path

import pytest
import toy

from slimline import code_hashes

METHOD = '''\
"""Structured: whole channels go, at random."""

from typing import Literal

from slimline.pruning.methods.structured_magnitude import StructuredMagnitude


class Luck(StructuredMagnitude):
    """`prune.method: luck`."""

    method: Literal["luck"]
'''


@pytest.fixture(scope="module")
def workspace(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.clone(pipeline, tmp_path_factory.mktemp("reruns") / "toy")


def edit(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def reruns(folder: Path) -> set[str]:
    """What `dvc repro` would run, after the hashes of code were renewed; the change is undone."""
    toy.dvc(folder, "repro", "code")
    told = toy.dvc(folder, "repro", "--dry").stdout
    toy.git(folder, "restore", ".")
    toy.git(folder, "clean", "--quiet", "--force", "slimline")
    return set(re.findall(r"Running stage '([a-z_0-9]+)", told))


def comment_and_docstring(workspace: Path) -> None:
    edit(workspace, "slimline/files.py", "import hashlib\n", "import hashlib  # a comment\n")
    edit(workspace, "slimline/training/loop.py", '"""THE training loop', '"""The one training loop')


def new_backbone_and_method(workspace: Path) -> None:
    families = "slimline/networks/families"
    edit(workspace, f"{families}/shufflenet_v2.py", "X1_0 =", 'X9_0 = _v2("x9_0")\nX1_0 =')
    edit(
        workspace,
        "slimline/networks/registry.py",
        "    {\n",
        '    {\n        "x9": "slimline.networks.families.shufflenet_v2:X9_0",\n',
    )
    (workspace / "slimline" / "pruning" / "methods" / "luck.py").write_text(METHOD)
    edit(
        workspace,
        "slimline/pruning/registry.py",
        "    {\n",
        '    {\n        "luck": "slimline.pruning.methods.luck:Luck",\n',
    )


def change_in_what_is_not_chosen(workspace: Path) -> None:
    edit(workspace, "slimline/networks/families/resnet.py", '"layer4"', '"layer5"')
    edit(workspace, "slimline/pruning/methods/taylor.py", "_BATCH = 50", "_BATCH = 51")


def test_what_no_stage_runs_runs_nothing(workspace: Path) -> None:
    comment_and_docstring(workspace)
    new_backbone_and_method(workspace)
    change_in_what_is_not_chosen(workspace)
    assert reruns(workspace) == set()


NOT_ASKED_FOR = {"device_export"}
"""Hashed as all are, and run where `targets` names a runtime."""

CHANGES = {
    ("slimline/pruning/rounds.py", "range(1, ", "range(1 + 0, "): {"prune", "prune_control"},
    ("slimline/report/templates/report.md.jinja2", "#", "##"): {"report"},
    ("slimline/data/user_files.py", "_SHOWN = 50", "_SHOWN = 51"): {"prepare_data"},
    (
        "slimline/networks/families/shufflenet_v2.py",
        "is_end = unit == num_units",
        "is_end = unit >= num_units",
    ): {
        "check_networks", "baseline_train", "backbone_swap", "sensitivity", "prune",
        "prune_control", "int8_sensitivity", "qat_finetune", "int8_export", "int8_ptq",
        *NOT_ASKED_FOR,
    },
}  # fmt: skip
"""What of a file becomes what, and the stages that call it."""


@pytest.fixture(scope="module")
def hashes(workspace: Path) -> dict[str, str]:
    return code_hashes.texts(workspace / "stages", workspace / "params.yaml")


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change[0])
def test_a_change_is_seen_where_it_is_called(
    workspace: Path, hashes: dict[str, str], change: tuple[str, str, str]
) -> None:
    edit(workspace, *change)
    found = code_hashes.texts(workspace / "stages", workspace / "params.yaml")
    toy.git(workspace, "restore", ".")
    assert {stage for stage, text in found.items() if text != hashes[stage]} == CHANGES[change]


def test_a_change_runs_what_calls_it(workspace: Path) -> None:
    for change in CHANGES:
        edit(workspace, *change)
    assert reruns(workspace) == set().union(*CHANGES.values()) - NOT_ASKED_FOR
