import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import bare
import numpy as np
import pytest
import tiny_model
import torch
import toy
from PIL import Image

from slimline import files
from slimline.__main__ import main
from slimline.artifacts import model_interface
from slimline.data import split_files
from slimline.data.preprocessing import Preprocessing
from slimline.repository import browser, dvc_files, one_file
from slimline.targets.onnxruntime import runtime

PAGE = toy.ROOT / "slimline/repository/browser_page"
_FILES = ("models/int8_export/model.onnx", "models/int8_export/model.json", "metrics/model_card.md")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A product, its card, and the lock that knows both."""
    tiny_model.write(tmp_path / "models/int8_export", ["boot", "high\nheel", "sandal", "<b>"])
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/model_card.md").write_text("---\nlibrary_name: onnx\n---\n")
    shutil.copy2(toy.ROOT / "variants.yaml", tmp_path)
    write_lock(tmp_path, *_FILES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_lock(root: Path, *names: str) -> None:
    """Let `dvc.lock` know files and folders as they are now."""
    outs = [{"path": name, "md5": dvc_files.hash_path(root / name)} for name in names]
    stages = {"evaluate": {"deps": outs[:2]}, "report": {"outs": outs[2:]}}
    (root / "dvc.lock").write_text(json.dumps({"stages": stages}))


def test_all_that_is_shipped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["package", "out/v1"]) == 0
    shipped = folder / "out/v1"
    names = [
        "SHA256SUMS",
        "labels.txt",
        "model.json",
        "model.onnx",
        "model.onnx.gz",
        "model_card.md",
        "predict.py",
        "preprocessing.md",
    ]
    assert sorted(path.name for path in shipped.iterdir()) == names
    told = dict(line.split("\t") for line in capsys.readouterr().out.splitlines())
    assert sorted(Path(path).name for path in told) == names
    packed = shipped / "model.onnx.gz"
    assert told["out/v1/model.onnx.gz"] == f"{packed.stat().st_size / 1024:.1f} KiB"
    assert gzip.decompress(packed.read_bytes()) == (shipped / "model.onnx").read_bytes()
    assert (shipped / "labels.txt").read_text() == "boot\nhigh heel\nsandal\n<b>\n"
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(check, cwd=shipped, capture_output=True, text=True, check=True)
    assert done.stdout.count(": OK") == 7
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["v1"]


_DEVICE = Path("models/device_export/executorch")


@pytest.fixture
def with_device(folder: Path) -> Path:
    """The same, and what the product was made from is written for another runtime as well."""
    (folder / _DEVICE).mkdir(parents=True)
    (folder / _DEVICE / "model.pte").write_bytes(b"program")
    description = files.read_json(folder / "models/int8_export/model.json")
    for path in (folder / _DEVICE, folder / "models/int8_export"):
        files.write_json(path / "model.json", description | {"sha256": {"parent": "of both"}})
    write_lock(folder, *_FILES, _DEVICE.as_posix())
    return folder


def test_the_product_for_another_runtime_is_shipped_too(with_device: Path) -> None:
    (with_device / _DEVICE / "model.pte").chmod(0o444)  # as a link into DVC's cache is
    assert main(["package", "out"]) == 0
    shipped = with_device / "out/devices/executorch"
    assert {path.name for path in shipped.iterdir()} == {"model.json", "model.pte"}
    assert (shipped / "model.pte").stat().st_mode & 0o200
    assert "devices/executorch/model.pte" in (with_device / "out/SHA256SUMS").read_text()


def test_one_of_another_product_or_that_no_stage_wrote_is_left_out(with_device: Path) -> None:
    write_lock(with_device, *_FILES)
    assert main(["package", "unknown"]) == 0
    files.write_json(with_device / _DEVICE / "model.json", {"sha256": {"parent": "another"}})
    write_lock(with_device, *_FILES, _DEVICE.as_posix())
    assert main(["package", "other"]) == 0
    for name in ("unknown", "other"):
        assert not (with_device / name / "devices").exists()


def test_one_that_is_not_here_is_refused(
    with_device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a clone that asked for the product alone: the card promises all of them."""
    shutil.rmtree(with_device / _DEVICE)
    assert main(["package", "out"]) == 2
    assert capsys.readouterr().err == f"{_DEVICE}: is missing; run `dvc repro`\n"


def test_one_that_was_changed_since_is_refused(
    with_device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (with_device / _DEVICE / "model.pte").write_bytes(b"another")
    assert main(["package", "out"]) == 2
    assert capsys.readouterr().err == f"{_DEVICE}: is not what dvc.lock has; run `dvc repro`\n"


def test_its_one_file_tells_what_cannot_be_printed_or_loaded(folder: Path) -> None:
    tiny_model.write(folder / "m", ["袋", "high\nheel", "c", "d"])
    (folder / "m/predict.py").write_text(one_file.predict_source(), encoding="utf-8")
    for name, corner in (("é.png", (0, 0)), ("b.png", (4, 0))):
        image = Image.new("L", (8, 8))
        image.paste(255, (*corner, corner[0] + 4, corner[1] + 4))
        image.save(folder / name)
    command = [sys.executable, "m/predict.py", "é.png", "b.png"]
    plain = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=plain)
    assert done.returncode == 0
    lines = [line.split("\t")[:2] for line in done.stdout.splitlines()]
    assert lines == [["\\xe9.png", "\\u888b"], ["b.png", "high\\nheel"]]
    (folder / "m/model.json").unlink()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_its_one_file_says_how_it_is_called_and_that_a_folder_is_none(folder: Path) -> None:
    tiny_model.write(folder / "m")
    (folder / "m/predict.py").write_text(one_file.predict_source(), encoding="utf-8")
    usage = "usage: python predict.py IMAGE ...\n"
    for given, code, out, err in (
        (["--help"], 0, usage, ""),
        (["-h", "photo.jpg"], 0, usage, ""),
        ([], 2, "", usage),
        (["m"], 1, "", "m: is a folder\n"),
    ):
        command = [sys.executable, "m/predict.py", *given]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (code, out, err)


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
    Image.fromarray(np.arange(0, 2000, 10, np.uint16).reshape(10, 20)).save(folder / "dark.png")
    (folder / "broken.png").write_bytes(b"none")
    names = ["a.png", "b.jpg", "dark.png", "broken.png"]
    capsys.readouterr()
    assert main(["predict", "out", *names]) == 1
    # -I: neither the folder that it is called from nor PYTHONPATH has our modules.
    command = [sys.executable, "-I", "out/predict.py", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    told = capsys.readouterr()
    assert done.stdout == told.out
    of_dark, of_broken = done.stderr.splitlines()
    assert of_dark.startswith("dark.png: has 16 bits and no value above 1990 of 65535")
    assert "multiply its values by 32" in of_dark
    assert of_dark in told.err.splitlines()
    assert of_broken.startswith("broken.png: cannot be decoded: ")
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


def test_a_folder_within_a_file_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "file").touch()
    assert main(["package", "file/out"]) == 2
    assert capsys.readouterr().err == "file/out: cannot be made: File exists\n"


def test_nothing_is_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine").mkdir()
    (folder / "mine/notes.txt").write_text("keep")
    assert main(["package", "mine"]) == 2
    assert "mine: is there already" in capsys.readouterr().err
    assert [path.name for path in (folder / "mine").iterdir()] == ["notes.txt"]


def test_an_empty_folder_at_the_end_of_a_link_is_filled(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "link").symlink_to("elsewhere")
    assert main(["package", "link"]) == 0
    assert (folder / "link").is_symlink()
    assert (folder / "elsewhere/model.onnx").is_file()


def test_where_a_disk_is_mounted_is_no_folder_to_replace(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "disk").mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda path: path.name == "disk")
    assert main(["package", "disk"]) == 2
    assert capsys.readouterr().err == (
        "disk: is where a disk is mounted; name a new folder in it\n"
    )


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


def archive_of_a_release(folder: Path) -> Path:
    path = folder / "onnxruntime-web.tgz"
    with tarfile.open(path, "w:gz") as packed:
        for name in browser._FILES:
            (folder / "one").write_text(name)
            packed.add(folder / "one", f"package/dist/{name}")
    return path


def test_a_page_is_added_with_all_that_it_needs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "_fetch", archive_of_a_release)
    assert main(["package", "out", "--browser"]) == 0
    page = folder / "out" / "browser"
    names = {path.name for path in page.iterdir()}
    assert names == {
        "NOTICE", "index.html", "page.mjs", "preprocessing.mjs", "model.json", "model.onnx",
        *browser._FILES,
    }  # fmt: skip
    assert (page / "model.onnx").read_bytes() == (folder / "out/model.onnx").read_bytes()
    imported = set(re.findall(r"'(?:\./)?([\w.-]+\.(?:mjs|json|onnx))'", page_code(page)))
    assert imported <= names
    assert not re.search(r"https?://", page_code(page)), "nothing is asked of a network"
    sums = (folder / "out/SHA256SUMS").read_text()
    assert "browser/ort-wasm-simd-threaded.wasm" in sums


def page_code(page: Path) -> str:
    return "".join((page / name).read_text() for name in ("index.html", "page.mjs"))


@pytest.mark.parametrize(
    ("npm", "told"),
    [
        (None, "is not installed"),
        ("echo no network >&2; exit 1", "npm does not bring onnxruntime-web@1.30.0: no network"),
        ('echo else > "$5/x.tgz"', "is not what was tried"),
    ],
)
def test_a_release_that_cannot_be_had_is_told(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    npm: str | None,
    told: str,
) -> None:
    (folder / "bin").mkdir()
    if npm is not None:
        (folder / "bin/npm").write_text(f"#!/bin/sh\n{npm}\n")
        (folder / "bin/npm").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"))
    assert main(["package", "out", "--browser"]) == 2
    assert told in capsys.readouterr().err
    assert not (folder / "out").exists()


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here")
@pytest.mark.parametrize(
    ("size", "unit"),
    [((24, 28), 0), ((20, 9), 0), ((131, 97), 0), ((200, 57), 0), ((57, 200), 1)],
)
@pytest.mark.parametrize("crop", [1.0, 0.875])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("takes", ["float32", "uint8", "uint8_nhwc"])
def test_the_page_prepares_an_image_to_the_last_bit(
    takes: str, channels: int, size: tuple[int, int], unit: int, crop: float
) -> None:
    """From the decoded image on; Pillow 13 resizes tall ones first down, then across."""
    mean, std = (0.485, 0.456, 0.406)[:channels], (0.229, 0.224, 0.225)[:channels]
    frame = Preprocessing(28, 24, channels, mean, std, crop)
    noise = np.random.default_rng(0).integers(0, 256, [*size[::-1], channels], np.uint8)
    image = Image.fromarray(noise.squeeze())
    asked = model_interface.of(frame, takes=takes, answers="logits")
    given = {
        "image": {"width": size[0], "height": size[1], "data": noise.ravel().tolist()},
        "frame": frame.to_dict(),
        "input": asked.describe().get("input", {"dtype": "float32"}),
    }
    page = PAGE / "preprocessing.mjs"
    script = Path(__file__).with_name("prepared_by_page.mjs")
    done = subprocess.run(
        ["node", script, page], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    found, pixels = json.loads(done.stdout), asked.frame.to_pixels(image)
    own = np.array(found["pixels"], np.uint8).reshape(pixels.shape)
    assert np.abs(own.astype(int) - pixels.astype(int)).max() <= unit
    expected = asked.frame.normalise(own[np.newaxis]).ravel()
    assert np.array_equal(np.array(found["input"], expected.dtype), expected)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here")
@pytest.mark.parametrize(
    ("pixel", "told"),
    [([0, 0, 0, 0], "is too large for this browser"), ([0, 0, 0, 255], "[0]")],
)
def test_a_canvas_that_gives_nothing_is_told(pixel: list[int], told: str) -> None:
    code = f"""
        globalThis.createImageBitmap = async () => ({{width: 1, height: 1}});
        globalThis.OffscreenCanvas = class {{
          getContext() {{
            return {{drawImage() {{}}, getImageData: () => ({{data: Uint8Array.from({pixel})}})}};
          }}
        }};
        const {{decode}} = await import('{PAGE / "preprocessing.mjs"}');
        const done = decode(null, 1).then(({{data}}) => JSON.stringify([...data]));
        console.log(await done.catch((error) => error.message));
    """
    assert in_node(code).startswith(told)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here")
def test_a_photo_dropped_beside_the_box_does_not_replace_the_page(tmp_path: Path) -> None:
    for name in ("page.mjs", "preprocessing.mjs"):
        shutil.copyfile(PAGE / name, tmp_path / name)
    (tmp_path / "ort.wasm.min.mjs").write_text("export const env = {wasm: {}};\n")
    code = f"""
        const element = {{addEventListener() {{}}}};
        globalThis.document = {{getElementById: () => element}};
        globalThis.location = {{protocol: 'http:'}};
        globalThis.fetch = async () => {{ throw new Error('no network'); }};
        globalThis.addEventListener = (kind, act) =>
          act({{preventDefault: () => console.log(kind)}});
        await import('{tmp_path / "page.mjs"}');
    """
    assert in_node(code).split() == ["dragover", "drop"]


def in_node(code: str) -> str:
    command = ["node", "--input-type=module", "--eval", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_torch_alone_answers_with_its_own_form(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process that has nothing of ours, with the logits of the .onnx beside them."""
    monkeypatch.chdir(pipeline)
    shipped = tmp_path / "shipped"
    assert main(["package", str(shipped), "--torch"]) == 0
    code = (
        "import sys, torch\n"
        "images = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))\n"
        "for path in sys.argv[1:]:\n"
        "    print(torch.export.load(path).module()(images).tolist())\n"
        "assert not any(name.startswith(('slimline', 'torchao')) for name in sys.modules)\n"
    )
    paths = [shipped / "torch" / f"{name}.pt2" for name in ("prune", "qat_finetune")]
    told = subprocess.run(
        [sys.executable, "-c", code, *paths],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    pruned, trained = (np.array(json.loads(line)) for line in told.stdout.splitlines())
    assert pruned.shape == trained.shape == (3, 10)
    noise = torch.randn(3, 1, 28, 28, generator=torch.Generator().manual_seed(0)).numpy()
    found = runtime.run(runtime.load(Path("models/prune/model.onnx"), num_threads=1), noise)
    assert np.abs(found - pruned).max() < 1e-3 * np.abs(pruned).max()


def test_models_of_another_run_are_not_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["package", "out", "--torch"]) == 2
    told = capsys.readouterr().err
    assert "models/qat_finetune: is not what models/int8_export was made from" in told
    assert not (folder / "out").exists()
