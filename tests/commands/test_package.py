import json
import shutil
import subprocess
import sys
from pathlib import Path

import bare
import numpy as np
import pytest
import tiny_model
import toy
from PIL import Image

from slimline.__main__ import main
from slimline.data import split_files
from slimline.repository import dvc_files

_FILES = ("models/int8_export/model.onnx", "models/int8_export/model.json", "metrics/model_card.md")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A product, its card, and the lock that knows both."""
    tiny_model.write(tmp_path / "models/int8_export", ["boot", "high\nheel", "sandal", "<b>"])
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/model_card.md").write_text("---\nlibrary_name: onnx\n---\n")
    outs = [{"path": name, "md5": dvc_files.hash_file(tmp_path / name)} for name in _FILES]
    stages = {"evaluate": {"deps": outs[:2]}, "report": {"outs": outs[2:]}}
    shutil.copy2(toy.ROOT / "variants.yaml", tmp_path)
    (tmp_path / "dvc.lock").write_text(json.dumps({"stages": stages}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_that_is_shipped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["package", "out/v1"]) == 0
    shipped = folder / "out/v1"
    names = [
        "SHA256SUMS",
        "labels.txt",
        "model.json",
        "model.onnx",
        "model_card.md",
        "predict.py",
    ]
    assert sorted(path.name for path in shipped.iterdir()) == names
    assert sorted(Path(line).name for line in capsys.readouterr().out.split()) == names
    assert (shipped / "labels.txt").read_text() == "boot\nhigh heel\nsandal\n<b>\n"
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(check, cwd=shipped, capture_output=True, text=True, check=True)
    assert done.stdout.count(": OK") == 5
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["v1"]


def test_what_is_shipped_answers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "out").mkdir()
    assert main(["package", "out"]) == 0
    Image.linear_gradient("L").save(folder / "a.png")
    capsys.readouterr()
    assert main(["predict", "out", "a.png"]) == 0
    assert capsys.readouterr().out.startswith("a.png\tsandal\t")


def test_its_one_file_answers_as_predict_does(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["package", "out"]) == 0
    Image.linear_gradient("L").save(folder / "a.png")
    Image.radial_gradient("L").resize((40, 24)).convert("RGB").save(folder / "b.jpg")
    (folder / "broken.png").write_bytes(b"none")
    names = ["a.png", "b.jpg", "broken.png"]
    capsys.readouterr()
    assert main(["predict", "out", *names]) == 1
    # -I: neither the folder that it is called from nor PYTHONPATH has our modules.
    command = [sys.executable, "-I", "out/predict.py", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == capsys.readouterr().out
    assert done.stderr.startswith("broken.png: cannot be decoded: ")
    assert "from slimline" not in (folder / "out/predict.py").read_text()


@pytest.mark.parametrize("name", _FILES)
def test_a_file_of_another_run_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content + b" ")
    assert main(["package", "out"]) == 2
    assert capsys.readouterr().err == f"{name}: is not what dvc.lock has; run `dvc repro`\n"
    (folder / name).unlink()
    assert main(["package", "out"]) == 2
    told = capsys.readouterr().err
    assert "dvc repro" in told or "is no model folder" in told
    assert not (folder / "out").exists()


def test_nothing_is_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine").mkdir()
    (folder / "mine/notes.txt").write_text("keep")
    assert main(["package", "mine"]) == 2
    assert "mine: is there already" in capsys.readouterr().err
    assert [path.name for path in (folder / "mine").iterdir()] == ["notes.txt"]


def test_a_product_runs_with_three_packages_as_its_card_says(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bare_python: Path
) -> None:
    monkeypatch.chdir(pipeline)
    shipped = tmp_path / "shipped"
    assert main(["package", str(shipped)]) == 0
    split = split_files.load(pipeline / "data/prepared/test")
    answers = (pipeline / "metrics/predictions/int8_export.txt").read_text().split()
    code = bare.lines_of(shipped / "model_card.md")
    for row in range(5):
        path = tmp_path / f"{row}.png"
        Image.fromarray(np.asarray(split.images[row]).squeeze()).save(path)
        label = split.classes[int(answers[row])]
        told = bare.run(bare_python, "-m", "slimline", "predict", shipped, path)
        assert told.startswith(f"{path}\t{label}\t")
        assert bare.run(bare_python, "-c", code, path, folder=shipped) == f"{label}\n"
