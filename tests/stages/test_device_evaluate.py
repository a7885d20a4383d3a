"""The stage itself runs in test_device_export.py, behind the one whose file it scores."""

from pathlib import Path

import pytest

from slimline import files
from slimline.measure import accuracy, device_figures
from slimline.targets.model_file import ModelFile

ABOUT = {
    "parity": {"agreement": 99.95, "largest_difference": 0.05, "spread": 10.0},
    "not_delegated": [{"layer": "fc", "operator": "addmm"}],
    "float_layers": ["fc"],
}


def test_figures_are_read_as_they_were_written(tmp_path: Path) -> None:
    score = accuracy.Accuracy(200, 180, 199, 0.3, 0.01, [(180, 200)])
    file = ModelFile(2048, 1024, params=10, weights=8, zeros=1, macs=100, int8_macs=99)
    path = tmp_path / device_figures.FOLDER / "executorch.json"
    files.write_json(path, device_figures.to_dict(score, 90.5, file, ABOUT))
    (found,) = device_figures.read(tmp_path, ["executorch"])
    assert found.top1 == 90
    assert found.top1_difference == pytest.approx(-0.5)
    assert found.agreement == 99.5
    assert found.logit_difference == pytest.approx(0.5)
    assert (found.size_kib, found.size_zip_kib, found.int8_macs) == (2, 1, 99)
    assert found.not_delegated == ["fc: addmm"]
    assert found.float_layers == ["fc"]
