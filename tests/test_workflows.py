"""What zizmor and actionlint cannot know: what one workflow relies on in another."""

from typing import Any

import toy
from ruamel.yaml import YAML

FOLDER = toy.ROOT / ".github" / "workflows"
WORKFLOWS: dict[str, Any] = {
    path.stem: YAML(typ="safe", pure=True).load(path) for path in FOLDER.glob("*.yml")
}


def steps(name: str) -> list[dict[str, Any]]:
    (job,) = WORKFLOWS[name]["jobs"].values()
    return list(job["steps"])


def test_what_is_posted_is_what_the_report_uploads() -> None:
    assert WORKFLOWS["comment"]["on"]["workflow_run"]["workflows"] == [WORKFLOWS["report"]["name"]]
    (upload,) = (each["with"] for each in steps("report") if "upload-artifact" in str(each))
    commands = [each["run"] for each in steps("comment") if "run" in each]
    assert commands[0].split("--name ")[1].split()[0] == upload["name"]
    assert commands[1].endswith(f'/{upload["path"]}"')
    makefile = (toy.ROOT / "Makefile").read_text()
    assert f" {upload['path']}\n" in makefile[makefile.index("\npull-request:") :]


def test_only_the_job_that_runs_no_code_of_others_may_write() -> None:
    for name, workflow in WORKFLOWS.items():
        jobs = [workflow, *workflow["jobs"].values()]
        granted = {
            key: value for each in jobs for key, value in each.get("permissions", {}).items()
        }
        writes = [key for key, value in granted.items() if value != "read"]
        assert writes == (["pull-requests"] if name == "comment" else [])
    checkouts = [each for each in steps("comment") if "checkout" in each.get("uses", "")]
    assert [set(each["with"]) for each in checkouts] == [{"persist-credentials", "sparse-checkout"}]
    assert "secrets" not in "".join(path.read_text() for path in FOLDER.glob("*.yml"))
