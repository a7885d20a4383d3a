"""What zizmor and actionlint cannot know: what one workflow relies on in another."""

from typing import Any, get_args

import pytest
import toy
from ruamel.yaml import YAML

from slimline.targets.device_registry import DeviceTarget

FOLDER = toy.ROOT / ".github" / "workflows"
WORKFLOWS: dict[str, Any] = {
    path.stem: YAML(typ="safe", pure=True).load(path) for path in FOLDER.glob("*.yml")
}


def steps(name: str, job: str) -> list[dict[str, Any]]:
    return list(WORKFLOWS[name]["jobs"][job]["steps"])


def uploaded(name: str, job: str) -> dict[str, Any]:
    (upload,) = (each["with"] for each in steps(name, job) if "upload-artifact" in str(each))
    return dict(upload)


def commands(name: str, job: str) -> str:
    return "\n".join(each["run"] for each in steps(name, job) if "run" in each)


def test_the_comment_is_written_from_what_the_report_uploads() -> None:
    assert WORKFLOWS["comment"]["on"]["workflow_run"]["workflows"] == [WORKFLOWS["report"]["name"]]
    results = uploaded("report", "report")
    assert results["path"].split() == ["dvc.lock", "metrics"], "figures, and no text"
    assert f"--name {results['name']} " in commands("comment", "render")
    makefile = (toy.ROOT / "Makefile").read_text()
    target = makefile[makefile.index("\ncomment:") :]
    assert "tools/render_comment.py" in target[: target.index("\n\n")]


def test_what_is_posted_is_what_main_has_written() -> None:
    text = uploaded("comment", "render")
    posting = commands("comment", "comment")
    assert f"--name {text['name']} " in posting
    assert posting.endswith(f'/{text["path"]}"')
    run_ids = [
        each["env"]["RUN_ID"]
        for each in steps("comment", "comment")
        if "RUN_ID" in str(each.get("env"))
    ]
    assert run_ids == ["${{ github.run_id }}"], "of this run, not of the pull request's"
    assert WORKFLOWS["comment"]["jobs"]["comment"]["needs"] == "render"


def test_only_the_job_that_sees_no_file_of_others_may_write() -> None:
    writing = []
    for name, workflow in WORKFLOWS.items():
        for job, content in [("", workflow), *workflow["jobs"].items()]:
            granted = content.get("permissions", {})
            writing += [(name, job, key) for key in granted if granted[key] != "read"]
    assert writing == [("comment", "comment", "pull-requests")]
    checkouts = [each for each in steps("comment", "comment") if "checkout" in each.get("uses", "")]
    assert [set(each["with"]) for each in checkouts] == [{"persist-credentials", "sparse-checkout"}]
    assert "worktree" not in commands("comment", "comment")
    assert "secrets" not in "".join(path.read_text() for path in FOLDER.glob("*.yml"))


@pytest.mark.parametrize(("name", "job"), [("report", "report"), ("comment", "render")])
def test_a_pull_request_is_compared_with_where_it_left_its_base(name: str, job: str) -> None:
    """Without history it would be compared with the tip, and blamed for what main did meanwhile."""
    (checkout,) = (each for each in steps(name, job) if "checkout" in each.get("uses", ""))
    assert checkout["with"]["fetch-depth"] == 0
    assert "--depth" not in commands(name, job)


def test_what_is_judged_is_what_the_comment_shows() -> None:
    (checkout,) = (
        each for each in steps("report", "report") if "checkout" in str(each.get("uses"))
    )
    assert "pull_request.head.sha" in checkout["with"]["ref"]
    assert "workflow_run.head_sha" in str(steps("comment", "render"))


@pytest.mark.parametrize(("name", "job"), [("tests", "test"), ("nightly", "test-all")])
def test_what_device_runtimes_run_is_tested(name: str, job: str) -> None:
    readme = (toy.ROOT / "README.md").read_text()
    for target in get_args(DeviceTarget):
        lock = f"requirements-{target}.lock"
        assert f"python -m pip install --no-deps --requirement {lock}" in commands(name, job)
        assert lock in readme
    assert "python -m pip install --no-deps --requirement requirements-" in readme
