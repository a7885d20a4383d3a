import re
from pathlib import Path
from typing import Any

import bare
import finished
import numpy as np
import pytest
import tiny_model
from PIL import Image
from repository import State
from ruamel.yaml import YAML

from slimline import files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return finished.make(tmp_path / "toy", [*tiny_model.CLASSES, *"efghij"])


def test_its_ten_lines_run_the_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch, bare_python: Path
) -> None:
    finished.run(folder, monkeypatch)
    code = bare.lines_of(folder / "metrics" / "model_card.md")
    assert len(code.splitlines()) == 10
    pixels = np.zeros((40, 40), np.uint8)
    pixels[20:, :20] = 255
    Image.fromarray(pixels).convert("RGB").save(folder / "photo.png")
    model = folder / "models" / "int8_export"
    told = bare.run(bare_python, "-c", code, folder / "photo.png", folder=model)
    assert told == "bottom left\n"


@pytest.mark.parametrize("takes", ["float32", "uint8", "uint8_nhwc"])
@pytest.mark.parametrize("answers", ["logits", "probabilities"])
def test_they_run_what_int8_export_may_make_of_it(
    takes: str,
    answers: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    bare_python: Path,
) -> None:
    model = folder / "models" / "int8_export"
    tiny_model.rewrite(model, takes=takes, answers=answers)
    card = finished.run(folder, monkeypatch)["model_card.md"]
    assert f"Output `{answers}`" in card
    code = bare.lines_of(folder / "metrics" / "model_card.md")
    pixels = np.zeros((40, 40), np.uint8)
    pixels[20:, 20:] = 255
    Image.fromarray(pixels).save(folder / "photo.png")
    told = bare.run(bare_python, "-c", code, folder / "photo.png", folder=model)
    assert told == "bottom right\n"


def test_its_head_is_yaml(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = finished.run(folder, monkeypatch)["model_card.md"]
    head = YAML(typ="safe", pure=True).load(card.split("---\n")[1])
    assert head["datasets"] == ["toy"]
    metric = head["model-index"][0]["results"][0]["metrics"][0]
    assert metric["value"] == 89.75


def test_it_tells_where_the_model_comes_from(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = finished.run(folder, monkeypatch)["model_card.md"]
    model = folder / "models" / "int8_export"
    assert files.hash_file(model / "model.onnx") in card
    assert re.findall(r"^\| (\w+) \| ([\w ]+) \| `", card, re.MULTILINE) == [
        ("baseline_train", "nothing before it"),
        ("backbone_swap", "baseline_train"),
        ("prune", "backbone_swap"),
        ("qat_finetune", "prune"),
        ("int8_export", "qat_finetune"),
    ]
    assert "Licence: Toy Licence 1.0." in card
    assert "All training began with random weights." in card
    assert "pruned, int8\n" in card
    assert "test images, which nothing but this evaluation has seen;" in card


def test_of_a_checkpoint_that_was_only_quantized_it_claims_no_more(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, dict[str, Any]] = {
        "baseline_train": {"settings": {"pretrained": "mine"}},
        "prune": {"layers": []},
    }
    for name, change in changes.items():
        path = folder / "models" / name / "model.json"
        files.write_json(path, files.read_json(path) | change)
    history = folder / "models" / "qat_finetune" / "history.tsv"
    history.write_text(history.read_text().splitlines(keepends=True)[0])
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(re.sub(r"(m[axin]+_\w+): [\d.]+", r"\1: none", text))
    documents = finished.run(folder, monkeypatch)
    card = documents["model_card.md"]
    assert "pruned" not in card
    assert "- pruning\n" not in card
    assert ", quantized to int8." in " ".join(card.split())
    for name in ("model_card.md", "report.md"):
        assert "whether the checkpoint that it began with did is not known" in documents[name]
    for name in ("report.html", "report.md"):
        assert "No gate is switched on." in documents[name]


def test_a_product_that_is_larger_is_called_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished.make(tmp_path / "large", state=State(size_kib=80_000, milliseconds=20.0))
    path = folder / "models" / "int8_export" / "model.json"
    files.write_json(path, files.read_json(path) | {"settings": {"form": "portable"}})
    documents = finished.run(folder, monkeypatch)
    assert "2.00 x larger and 2.00 x slower than the" in documents["report.md"]
    assert "<b>2.00 x larger</b> and <b>2.00 x slower</b>" in documents["report.html"]
