"""The same code, params, data and threads give the same bytes, in any folder."""

from pathlib import Path

import pytest
import toy


# Slow: a second pipeline. The nightly workflow runs it, and the real one twice.
@pytest.mark.slow
def test_two_runs_in_folders_of_different_depth(pipeline: Path, tmp_path: Path) -> None:
    again = toy.make(tmp_path / "another" / "and" / "much" / "deeper" / "folder")
    stages = ("int8_export", "int8_ptq", "int8_dynamic", "float16", "reference", "evaluate")
    toy.dvc(again, "repro", *stages, "evaluate_control")
    assert toy.results(again) == toy.results(pipeline)
    assert len(toy.results(again)) > 30
