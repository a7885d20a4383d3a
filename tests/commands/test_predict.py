import ast
import struct
import subprocess
import sys
from pathlib import Path

import bare
import numpy as np
import pytest
import small_photos
import tiny_model
import toy
from PIL import Image

from slimline.__main__ import main
from slimline.data import preprocessing, split_files


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny_model.write(tmp_path / "model")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Brightest at the bottom right, then at the top left; larger than the model's frame."""
    pixels = np.zeros([80, 80], np.uint8)
    pixels[40:, 40:] = 255
    pixels[:40, :40] = 100
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_the_best_answer_of_each_file(
    model: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(model), str(image), str(image)]) == 0
    assert capsys.readouterr().out == f"{image}\tbottom right\t100.0 %\n" * 2


def test_top_k_is_sorted_and_sums_to_all(
    model: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(model), str(image), "--top", "9"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [label for _, label, _ in rows][:2] == ["bottom right", "top left"]
    shares = [float(share.removesuffix(" %")) for _, _, share in rows]
    assert len(rows) == 4
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.2)


def test_answers_are_those_of_evaluate(
    pipeline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = split_files.load(pipeline / "data/prepared/test")
    written = (pipeline / "metrics/predictions/int8_export.txt").read_text().split()
    paths = [tmp_path / f"{row}.png" for row in range(20)]
    for row, path in enumerate(paths):
        Image.fromarray(np.asarray(split.images[row]).squeeze()).save(path)
    assert main(["predict", str(pipeline / "models/int8_export"), *map(str, paths)]) == 0
    labels = [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()]
    assert labels == [split.classes[int(each)] for each in written[:20]]


def test_mistakes_are_one_sentence(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    for arguments, told in [
        ([model, tmp_path / "notes.txt"], "notes.txt: is no image that Pillow can read"),
        ([model, tmp_path / "none.png"], "none.png: there is no such file"),
        ([tmp_path, tmp_path / "notes.txt"], "is no model folder"),
    ]:
        assert main(["predict", *map(str, arguments)]) == 2
        printed = capsys.readouterr().err
        assert told in printed
        assert len(printed.splitlines()) == 1


@pytest.mark.parametrize("error", [TypeError("not a\nnumber"), struct.error(), RecursionError()])
def test_whatever_pillow_raises_is_one_sentence(
    model: Path,
    image: Path,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Image.Image, "convert", fail)
    assert main(["predict", str(model), str(image)]) == 2
    printed = capsys.readouterr().err
    assert "a.png: cannot be decoded: " in printed
    assert len(printed.splitlines()) == 1


def test_a_photo_with_broken_exif_is_turned(
    model: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Held upside down, what was brightest at the bottom right is so at the top left."""
    entries = [(0x0110, 2, 900, b"\xff\0\0\0"), (0x0112, 3, 1, struct.pack("<HH", 3, 0))]
    with Image.open(image) as pixels:
        image.with_suffix(".jpg").write_bytes(small_photos.with_exif(pixels.copy(), entries))
    assert main(["predict", str(model), str(image.with_suffix(".jpg"))]) == 0
    assert "\ttop left\t" in capsys.readouterr().out


def test_what_is_larger_than_any_photo_is_refused(
    model: Path, image: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(preprocessing, "MAX_PIXELS", 6399)
    assert main(["predict", str(model), str(image)]) == 2
    assert "a.png: cannot be decoded: it has 80 x 80 pixels" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "-1", "x"])
def test_a_wrong_count_is_told(
    model: Path, image: Path, count: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["predict", str(model), str(image), f"--top={count}"])
    assert stopped.value.code == 2
    assert "must be a number from 1 up" in capsys.readouterr().err


def test_numpy_pillow_and_onnxruntime_are_enough(
    bare_python: Path, model: Path, image: Path
) -> None:
    told = bare.run(bare_python, "-m", "slimline", "predict", model, image)
    assert told == f"{image}\tbottom right\t100.0 %\n"


def test_nothing_else_can_be_imported_there(bare_python: Path) -> None:
    ours = [name.split("==")[0] for name in (toy.ROOT / "requirements.lock").read_text().split()]
    heavy = ["torch", "pydantic", "dvc", "jinja2", "matplotlib", "onnx", "ruamel.yaml"]
    assert {name.replace(".", "-") for name in heavy} <= set(ours)
    code = "import importlib.util as u, sys; print([x for x in sys.argv[1:] if u.find_spec(x)])"
    names = [name.split(".")[0] for name in heavy]
    assert bare.run(bare_python, "-c", code, *names) == "[]\n"


def test_answering_imports_no_more_than_it_must(model: Path, image: Path) -> None:
    """What it waits for before it answers; where more is installed, no more is imported."""
    code = (
        "import sys; from slimline.__main__ import main; main(['predict', *sys.argv[1:]]);"
        "print(sorted({name.split('.')[0] for name in sys.modules} - sys.stdlib_module_names))"
    )
    command = [sys.executable, "-c", code, str(model), str(image)]
    told = subprocess.run(command, cwd=toy.ROOT, capture_output=True, text=True, check=True).stdout
    imported = [name for name in ast.literal_eval(told.splitlines()[1]) if name[0] != "_"]
    assert imported == ["PIL", "numpy", "onnxruntime", "slimline"]
