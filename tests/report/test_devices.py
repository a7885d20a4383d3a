from pathlib import Path

import finished
import pytest
import toy

from slimline import files

FIGURES = {
    "top1": 92.17, "top1_low": 91.627, "top1_high": 92.68, "onnx_top1": 92.19,
    "agreement": 99.98, "parity": 100.0, "logit_difference": 0.402,
    "size_kib": 322.7, "size_zip_kib": 254.6, "int8_macs": 98.5,
    "not_delegated": ["stage_2.fc: addmm"], "float_layers": ["head.fc"],
}  # fmt: skip


def test_a_target_has_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = finished.make(tmp_path / "toy")
    toy.set_params(folder, {"targets": ["executorch"]})
    files.write_json(folder / "metrics/evaluate/devices/executorch.json", FIGURES)
    documents = finished.run(folder, monkeypatch)
    (line,) = (each for each in documents["report.md"].splitlines() if "| executorch |" in each)
    assert (
        "| 92.17 % | ±0.53 | \N{MINUS SIGN}0.02 | 99.98 % | 100.00 % | 0.40 % | 323 KiB |" in line
    )
    assert line.endswith(r"| stage\_2.fc: addmm | head.fc |")
    assert "<td>stage_2.fc: addmm</td><td>head.fc</td>" in documents["report.html"]
    assert "for other runtimes in `devices/`" in documents["model_card.md"]
