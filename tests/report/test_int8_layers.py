"""What the report says of layers in float: a table where anything is known, else not a word."""

from pathlib import Path

import finished
import pytest

from slimline import files
from slimline.quantization.mixed_record import LayerChoice
from slimline.report import report_formatting


@pytest.mark.parametrize("name", ["report.md", "report.html"])
def test_not_a_word_where_nothing_was_asked(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished.make(tmp_path / "toy")
    assert "Layers in int8" in finished.run(folder, monkeypatch)[name]
    path = folder / "models" / "qat_finetune" / "model.json"
    files.write_json(path, files.read_json(path) | {"mixed": []})
    assert "Layers in int8" not in finished.run(folder, monkeypatch)[name]
    table = folder / "metrics" / "history" / "int8_layers.tsv"
    assert table.read_text() == "layer\tlost\tregained\tfloat_us\tint8_us\treason\n"


def test_a_layer_in_words() -> None:
    kept = LayerChoice("conv1", 0.4, 0.3, 4.31, 4.08, "accuracy")
    cells = ["float: accuracy", "\N{MINUS SIGN}0.40", "+0.30", "4.3 \N{MICRO SIGN}s"]
    assert report_formatting.int8_layer_cells(kept)[:4] == cells
    plain = LayerChoice("fc", None, None, None, None, "")
    assert report_formatting.int8_layer_cells(plain) == ["int8", *4 * ["\N{EN DASH}"]]
    cases = ([plain, plain], [plain, kept], [kept, kept])
    said = [report_formatting.int8_layers_sentence(each) for each in cases]
    assert said == [
        "All 2 layers run in int8.",
        "One of 2 layers runs in float.",
        "2 of 2 layers run in float.",
    ]
