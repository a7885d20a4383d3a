"""No code that runs escapes the hashes: what stages opened against what they are said to run."""

from pathlib import Path
from types import ModuleType

import pytest
import toy

from slimline.targets.executorch import installed as executorch
from slimline.targets.litert import installed as litert

ON_DEMAND = ("device_export", "device_evaluate")
"""They run where `targets` names a runtime, whose packages a test run may lack."""
NOT_WATCHED = {"__init__", "code", "validate_params", *ON_DEMAND}
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


@pytest.mark.slow
@pytest.mark.parametrize("installed", [executorch, litert], ids=["executorch", "litert"])
def test_nor_does_what_another_runtime_runs(
    pipeline: Path, tmp_path: Path, installed: ModuleType
) -> None:
    if not all(installed.versions().values()):
        pytest.skip(f"{installed.LOCK} is not installed")
    target = installed.__name__.split(".")[-2]
    folder = toy.clone(pipeline, tmp_path / "toy")
    toy.set_params(folder, {"targets": [target]})
    watched = tmp_path / "opened"
    watched.mkdir()
    watch = {"PYTHONPATH": str(toy.ROOT / "tests" / "watch"), "WATCH_TARGET": str(watched)}
    toy.dvc(folder, "repro", f"device_evaluate@{target}", environment=watch)
    for stage in ON_DEMAND:
        found = set((watched / f"{stage}.txt").read_text().splitlines())
        assert f"stages/{stage}.py" in found
        assert f"slimline/targets/{target}/runtime.py" in found
        assert found - hashed(folder, stage) == set()


def test_templates_were_watched_too(opened: dict[str, set[str]]) -> None:
    assert "slimline/report/templates/report.html.jinja2" in opened["report"]
