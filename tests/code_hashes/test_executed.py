"""No code that runs escapes the hashes: what stages opened against what they are said to run."""

from pathlib import Path

import pytest
import toy

NOT_WATCHED = {"__init__", "code", "validate_params", "device_export", "device_evaluate"}
"""The last two run where `targets` names a runtime, whose packages a test run may lack."""
STAGES = sorted(
    path.stem for path in (toy.ROOT / "stages").glob("*.py") if path.stem not in NOT_WATCHED
)


def hashed(pipeline: Path, stage: str) -> set[str]:
    lines = (pipeline / "metrics" / "code" / f"{stage}.txt").read_text().splitlines()
    return {line.split("  ")[1] for line in lines}


@pytest.mark.parametrize("stage", STAGES)
def test_every_file_that_a_stage_opens_is_hashed(
    pipeline: Path, opened: dict[str, set[str]], stage: str
) -> None:
    assert f"stages/{stage}.py" in opened[stage], "the stage was not watched"
    assert opened[stage] - hashed(pipeline, stage) == set()


def test_templates_were_watched_too(opened: dict[str, set[str]]) -> None:
    assert "slimline/report/templates/report.html.jinja2" in opened["report"]
