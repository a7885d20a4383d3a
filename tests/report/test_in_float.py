"""What the report says of work that runs in float in a product in int8."""

from pathlib import Path
from typing import Any

import finished
import pytest

from slimline import files

LAYERS = "in float, though quantized: ONNX Runtime does not join what lies around"
PRODUCTS = "% of the multiply-accumulates of int8_export are products of two computed matrices"

OTHERS = "% of the multiply-accumulates of int8_export have no int8 form and run in float"


@pytest.mark.parametrize(
    ("in_float", "said", "unsaid"),
    [
        (None, [], [LAYERS, PRODUCTS]),
        (
            {"layers": ["gate.place"], "products_share": 0.0},
            [f"layer gate.place of int8_export runs {LAYERS}"],
            [PRODUCTS],
        ),
        (
            {"layers": ["a", "b"], "products_share": 12.3},
            [f"layers a, b of int8_export run {LAYERS}", f"12.3 {PRODUCTS}"],
            [OTHERS],
        ),
        (
            {"layers": [], "products_share": 0.0, "others": {"rows.lstm": 31.5, "forward": 2.0}},
            [f"33.5 {OTHERS}: those of layers rows.lstm, forward."],
            [LAYERS, PRODUCTS],
        ),
    ],
)
def test_it_is_told_where_there_is_any(
    in_float: dict[str, Any] | None,
    said: list[str],
    unsaid: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = finished.make(tmp_path / "toy")
    if in_float is not None:
        path = folder / "models" / "int8_export" / "model.json"
        files.write_json(path, files.read_json(path) | {"in_float": in_float})
    report = finished.run(folder, monkeypatch)["report.md"]
    assert all(each in report for each in said)
    assert not any(each in report for each in unsaid)
