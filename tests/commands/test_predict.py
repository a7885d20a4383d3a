import ast
import io
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import bare
import numpy as np
import pytest
import small_photos
import tiny_model
import toy
from PIL import Image

from slimline import commands, files, predict
from slimline.__main__ import main
from slimline.artifacts import description
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


def test_a_folder_is_all_images_in_it(
    model: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    wanted = ["a.PNG", "b/a b.png", "b/c.png", "c.png"]
    others = [".d.png", ".e/f.png", "Thumbs.db", "g.txt", "g.heic", "__MACOSX/h.png"]
    for name in wanted + others:
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(image.read_bytes())
    assert main(["predict", str(model), str(photos), str(image)]) == 0
    printed = capsys.readouterr()
    named = [line.split("\t")[0] for line in printed.out.splitlines()]
    assert named == [str(photos / name) for name in wanted] + [str(image)]
    assert (
        printed.err == f"{photos}: left out 6: 2 hidden, 1 .db, 1 system folder, 1 .heic, 1 .txt\n"
    )


def test_a_folder_without_images_is_told(
    model: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["predict", str(model), str(tmp_path / "empty"), str(image)]) == 1
    printed = capsys.readouterr()
    assert "empty: has no file that is an image by its name" in printed.err
    assert printed.out.startswith(str(image))
    assert main(["predict", str(model), str(tmp_path / "empty")]) == 1
    assert capsys.readouterr().out == ""


def test_json_is_an_object_per_file(
    model: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(model), str(image), str(image), "--json", "--top", "2"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == second
    assert first["file"] == str(image)
    assert [answer["label"] for answer in first["answers"]] == ["bottom right", "top left"]
    assert first["answers"][0]["share"] == pytest.approx(1, abs=1e-4)
    assert first["answers"][1]["share"] < 1e-4


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere such names do not exist")
@pytest.mark.parametrize("name", [b"a\tb\nc.png", b"\xff\xfe.png", "\u202ephoto.png".encode()])
def test_any_name_of_a_file(
    model: Path, image: Path, tmp_path: Path, name: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(image.read_bytes())
    assert main(["predict", str(model), str(path), "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["file"] == str(path)
    assert main(["predict", str(model), str(path)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.count("\t") == 2
    assert all(cell.isprintable() for cell in line.split("\t"))
    path.write_text("no image")
    assert main(["predict", str(model), str(path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()


def test_a_name_that_the_terminal_cannot_show(
    model: Path, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(content, encoding="ascii"))
    image = image.rename(image.with_name("\N{LATIN SMALL LETTER E WITH ACUTE}.png"))
    assert main(["predict", str(model), str(image)]) == 0
    assert b"\\xe9.png\tbottom right\t" in content.getvalue()


def test_a_bad_file_among_good_ones(
    model: Path,
    image: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(predict, "_BATCH", 2)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "cut.png").write_bytes(image.read_bytes()[:60])
    (tmp_path / "a.heic").write_bytes(b"of an iPhone")
    bad = [tmp_path / name for name in ("notes.txt", "none.png", "cut.png", "a.heic")]
    paths = [image, bad[0], image, bad[1], bad[2], image, bad[3]]
    assert main(["predict", str(model), *map(str, paths)]) == 1
    printed = capsys.readouterr()
    assert printed.out == f"{image}\tbottom right\t100.0 %\n" * 3
    first, second, third, last = printed.err.splitlines()
    assert first == f"{bad[0]}: is no image that Pillow can read"
    assert second == f"{bad[1]}: there is no such file"
    assert third.startswith(f"{bad[2]}: ")
    assert last.startswith(f"{bad[3]}: is no image that Pillow can read: convert it to JPEG first")


@pytest.mark.parametrize("error", [TypeError("not a\nnumber"), struct.error(), RecursionError()])
def test_decoders_may_raise_anything(
    model: Path,
    image: Path,
    error: Exception,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise error

    loaded = predict.load(model)
    monkeypatch.setattr(predict, "load", lambda _, **__: loaded)
    monkeypatch.setattr(preprocessing.Preprocessing, "to_pixels", fail)
    assert main(["predict", str(model), str(image)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{image}: cannot be decoded: ")


def test_progress_of_many_files(
    model: Path,
    image: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands.predict, "_SECONDS", 0.0)
    monkeypatch.setattr(commands.predict, "_MANY", 3)
    assert main(["predict", str(model), *[str(image)] * 2]) == 0
    assert capsys.readouterr().err == ""
    assert main(["predict", str(model), *[str(image)] * 3]) == 0
    assert "2 of 3 files" in capsys.readouterr().err.splitlines()


def _without_onnx(model: Path) -> None:
    (model / "model.onnx").unlink()


def _of_training(model: Path) -> None:
    (model / "model.onnx").rename(model / "weights.safetensors")


def _broken_onnx(model: Path) -> None:
    content = (model / "model.onnx").read_bytes()
    (model / "model.onnx").write_bytes(content[: len(content) // 2])


def _empty_onnx(model: Path) -> None:
    (model / "model.onnx").write_bytes(b"")


def _no_json(model: Path) -> None:
    (model / "model.json").write_text("version https://git-lfs.github.com/spec/v1")


def _no_utf_8(model: Path) -> None:
    (model / "model.json").write_bytes(b"\xff\xfe\x00")


def _a_list(model: Path) -> None:
    (model / "model.json").write_text("[]")


def _changed(**changes: object) -> Callable[[Path], None]:
    def change(model: Path) -> None:
        content = files.read_json(model / "model.json") | changes
        kept = {key: value for key, value in content.items() if value is not None}
        files.write_json(model / "model.json", kept)

    return change


FRAME = tiny_model.FRAME.to_dict()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_without_onnx, "model: has no model.onnx; for a folder of the pipeline, `dvc pull`"),
        (_of_training, "`dvc repro int8_export` writes one into models/int8_export"),
        (_broken_onnx, "model.onnx: cannot be loaded by onnxruntime: "),
        (_empty_onnx, "model.onnx: cannot be loaded by onnxruntime: "),
        (_no_json, "model.json: is no JSON: Expecting value: line 1 column 1"),
        (_no_utf_8, "model.json: is no JSON: "),
        (_a_list, "model.json: describes no model: it is a JSON list"),
        (_changed(classes=None), "model.json: describes no classifier: 'classes' is missing"),
        (_changed(preprocessing=None), "describes no classifier: 'preprocessing' is missing"),
        (_changed(classes={"a": 1}), "model.json: describes no classifier: 'classes' is missing"),
        (_changed(preprocessing=FRAME | {"mean": 0.5}), "model.json: 'preprocessing' is wrong: "),
        (_changed(preprocessing=FRAME | {"width": "8"}), "model.json: 'preprocessing' is wrong: "),
        (_changed(preprocessing=FRAME | {"channels": 2}), "channels is 2, neither 1 nor 3"),
        (_changed(preprocessing=FRAME | {"width": 9}), "onnx: does not take what model.json"),
        (_changed(preprocessing={"mean": []}), "model.json: has no 'std' in 'preprocessing'"),
        (_changed(preprocessing={"mean": [], "std": []}), "model.json: 'preprocessing' is wrong: "),
        (
            _changed(classes=["a", "b"]),
            "gives 4 figures for an image, but model.json has 2 classes",
        ),
        (_changed(target="abacus"), "is for target 'abacus'; known here are onnxruntime"),
        (_changed(target=["abacus"]), "known here are onnxruntime"),
    ],
)
def test_a_broken_model_is_one_sentence(
    model: Path,
    image: Path,
    spoil: Callable[[Path], None],
    told: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    spoil(model)
    assert main(["predict", str(model), str(image)]) == 2
    printed = capfd.readouterr()
    assert told in printed.err
    assert len(printed.err.splitlines()) == 1
    assert printed.out == ""


def test_what_is_no_model_is_one_sentence(
    model: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for given, told in [
        (image, "a.png: is a file; MODEL, which comes first, is a folder: models/int8_export"),
        (model / "model.onnx", f"is a file; MODEL, which comes first, is a folder: {model}"),
        (tmp_path, "is no model folder, model.json is missing"),
        (tmp_path / "none", "none: there is no such folder"),
    ]:
        assert main(["predict", str(given), str(image)]) == 2
        printed = capsys.readouterr().err
        assert told in printed
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
    assert main(["predict", str(model), str(image)]) == 1
    assert "a.png: cannot be decoded: it has 80 x 80 pixels" in capsys.readouterr().err


def test_an_empty_name_is_not_the_current_folder(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["predict", str(model), ""])
    assert "names no file: the text is empty" in capsys.readouterr().err


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


def test_a_package_that_is_missing_is_told(
    model: Path, image: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        commands.predict, "find_spec", lambda name: None if name == "PIL" else find_spec(name)
    )
    assert main(["predict", str(model), str(image)]) == 2
    told = "predict: Pillow must be installed: `python -m pip install Pillow`\n"
    assert capsys.readouterr().err == told


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
    found = ast.literal_eval(told.splitlines()[1])
    # Debian's Python brings a sitecustomize of its own.
    imported = [name for name in found if name[0] != "_" and name != "sitecustomize"]
    assert imported == ["PIL", "numpy", "onnxruntime", "slimline"]


def test_its_syntax_is_that_of_python_3_10(model: Path, image: Path) -> None:
    """The oldest that its help names; what else is in the repository needs 3.11 or newer."""
    code = (
        "import sys; from slimline.__main__ import main; main(['predict', *sys.argv[1:]]);"
        "print([m.__file__ for n, m in sys.modules.items() if n.partition('.')[0] == 'slimline'])"
    )
    command = [sys.executable, "-c", code, str(model), str(image)]
    told = subprocess.run(command, cwd=toy.ROOT, capture_output=True, text=True, check=True).stdout
    paths = [Path(name) for name in ast.literal_eval(told.splitlines()[1])]
    assert toy.ROOT / "slimline/predict.py" in paths
    for path in paths:
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))


def test_a_file_of_another_model_does_not_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_model.write(tmp_path / "model")
    description.write(model, description.read(model))
    with (model / "model.onnx").open("ab") as file:
        file.write(b" ")
    assert main(["predict", str(model), "a.png"]) == 2
    assert "model.onnx: is not the file that model.json" in capsys.readouterr().err


@pytest.mark.skipif(find_spec("openvino") is not None, reason="OpenVINO is here")
def test_a_runtime_that_is_not_installed_is_one_sentence(
    model: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(model), str(image), "--runtime", "openvino"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("--runtime openvino: OpenVINO is not installed; `python -m pip install")
    assert len(told.splitlines()) == 1


def test_another_file_than_onnx_has_one_runtime(
    model: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model / "model.pte").write_bytes(b"")
    path = model / "model.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"target": "executorch", "file": "model.pte"})
    )
    assert main(["predict", str(model), str(image), "--runtime", "openvino"]) == 2
    assert "runs in executorch alone" in capsys.readouterr().err
