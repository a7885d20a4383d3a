from pathlib import Path

import finished
import pytest

from slimline.measure import other_runtimes
from slimline.measure.other_runtimes import OtherRuntime


@pytest.mark.parametrize(
    ("bounds", "faster"),
    [((1.2, 1.3), "openvino"), ((0.8, 0.9), "onnxruntime"), ((0.9, 1.1), "neither")],
)
def test_the_faster_runtime_is_named(
    bounds: tuple[float, float], faster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished.make(tmp_path / "toy")
    middle = sum(bounds) / 2
    row = OtherRuntime("int8_export", "openvino", 0.07, middle, *bounds, 98.4375, 64)
    other_runtimes.write(folder / "metrics" / "benchmark", [row])
    documents = finished.run(folder, monkeypatch)
    (line,) = (each for each in documents["report.md"].splitlines() if "| openvino |" in each)
    assert line.endswith(f"| {bounds[0]:.2f} to {bounds[1]:.2f} | 98.44 % | {faster} |")
    assert f"<td>{faster}</td>" in documents["report.html"]
    assert "to 64 calibration images" in documents["report.md"]
