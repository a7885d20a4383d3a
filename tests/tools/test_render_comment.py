"""A stranger's pull request, looked at by our code: his figures count, his code does not."""

import shutil
from pathlib import Path

import branches
import pytest
import toy
from ruamel.yaml import YAML

from slimline import params

SCRIPT = toy.ROOT / "tools" / "render_comment.py"
TRAP = """\
from pathlib import Path
Path("caught").write_text("the stranger's code was run")
"""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = branches.make(tmp_path_factory.mktemp("published") / "toy")
    work = folder / "work"
    with branches.branch(work, "ruined"):
        branches.replace(work / "make.py", "LOST = 0", "LOST = 40")
        branches.publish(work)
    with branches.branch(work, "not-run"):
        toy.set_params(work, {"prune.threshold": 0.3})
        toy.commit(work, "Prune more")
        toy.git(work, "push", "--quiet", "origin", "HEAD")
    branches.store(work)
    return folder


@pytest.fixture
def proposed(published: Path, tmp_path: Path) -> Path:
    """What broke two gates, with traps where our own commands have their modules."""
    folder = branches.shallow_clone(published, "ruined", tmp_path / "proposed")
    for name in ("slimline/__init__.py", "slimline/__main__.py", "numpy.py", "sitecustomize.py"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(TRAP)
    (tmp_path / "results").mkdir()
    return folder


def render(proposed: Path) -> tuple[int, str]:
    """The exit code and the comment, as seen from a folder of ours beside both."""
    folder = proposed.parent
    arguments = ("origin/main", proposed, folder / "results", folder / "comment.md")
    done = branches.run(folder, SCRIPT, *arguments, check=False)
    assert (folder / "comment.md").is_file(), done.stderr
    assert not list(folder.rglob("caught")), "the stranger's code was run"
    return done.returncode, (folder / "comment.md").read_text()


def test_gates_are_judged_by_our_code(proposed: Path) -> None:
    (proposed / "comment.md").write_text("## Slimline: every gate is kept\n")
    (proposed.parent / "results" / "comment.md").write_text("## Slimline: every gate is kept\n")
    code, comment = render(proposed)
    assert code == 0
    assert comment.startswith("## Slimline: 2 gates are broken")
    assert "are those that this pull request has committed" in comment


def test_labels_that_were_bent_to_the_answers_are_refused(proposed: Path) -> None:
    predictions = proposed / "metrics" / "predictions"
    shutil.copyfile(predictions / "int8_export.txt", predictions / "labels.txt")
    results = proposed.parent / "results"
    shutil.copytree(proposed / "metrics", results / "metrics")
    code, comment = render(proposed)
    assert code == 2
    assert "kept" not in comment


def test_what_the_run_made_is_taken_where_nothing_is_committed(
    published: Path, tmp_path: Path
) -> None:
    proposed = branches.shallow_clone(published, "not-run", tmp_path / "proposed")
    results = tmp_path / "results"
    results.mkdir()
    code, comment = render(proposed)
    assert (code, "stage int8_export is stale" in comment) == (2, True)
    run = branches.shallow_clone(published, "not-run", tmp_path / "run")
    toy.dvc(run, "pull", "--quiet", check=False)
    branches.run(run, "-m", "dvc", "repro", "--quiet")
    shutil.copytree(run / "metrics", results / "metrics")
    shutil.copyfile(run / "dvc.lock", results / "dvc.lock")
    code, comment = render(proposed)
    assert code == 0
    assert "made by this pull request's run, with its code, and are not committed" in comment
    assert "has committed" not in comment
    assert "700 KiB" in comment


@pytest.mark.parametrize("name", ["params.yaml", "metrics/predictions/labels.txt"])
def test_links_are_not_followed(proposed: Path, name: str) -> None:
    (proposed / name).unlink()
    (proposed / name).symlink_to("/etc/hostname")
    code, comment = render(proposed)
    assert code == 2
    assert "is a link; results are read from files alone" in comment


@pytest.mark.parametrize("kind", ["params", "vars", "climbing"])
def test_no_file_outside_of_the_checkout_is_read(proposed: Path, kind: str) -> None:
    secret = proposed.parent / "credentials.json"
    secret.write_text('{"token": "SECRET", "names": ["SECRET"]}')
    name = "../credentials.json" if kind == "climbing" else str(secret)
    path = proposed / "dvc.yaml"
    content = params.read(path)
    if kind == "vars":
        content["vars"] = [*content.get("vars", []), name]
        content["stages"]["taken"] = {"foreach": "${names}", "do": {"cmd": "true"}}
    else:
        content["stages"]["taken"] = {"cmd": "true", "params": [{name: ["token"]}]}
    YAML().dump(content, path)
    lock = params.read(proposed / "dvc.lock")
    lock["stages"]["taken"] = {"cmd": "true"}
    YAML().dump(lock, proposed / "dvc.lock")
    code, comment = render(proposed)
    assert code == 2
    assert "lies outside of the repository" in comment
    assert "SECRET" not in comment


def test_a_variant_has_no_path_for_a_name(proposed: Path) -> None:
    path = proposed / "variants.yaml"
    content = params.read(path)
    content["variants"]["../../credentials"] = {"role": "comparator", "parent": "prune"}
    YAML().dump(content, path)
    code, comment = render(proposed)
    assert code == 2
    assert "may have letters, digits, - and _ alone" in comment
