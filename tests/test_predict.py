import subprocess
import sys
from pathlib import Path

import numpy as np
import toy
from PIL import Image

from slimline import predict
from slimline.core import data


def test_answers_are_those_of_evaluate(pipeline: Path, tmp_path: Path) -> None:
    split = data.load(pipeline / "data" / "prepared" / "test")
    written = (pipeline / "metrics" / "predictions" / "int8_export.txt").read_text().split()
    paths = [tmp_path / f"{row}.png" for row in range(20)]
    for row, path in enumerate(paths):
        Image.fromarray(np.asarray(split.images[row]).squeeze()).save(path)
    answers = predict.predict(pipeline / "models" / "int8_export", paths)
    assert [label for label, _ in answers] == [split.classes[int(each)] for each in written[:20]]
    assert all(0.1 <= share <= 1 for _, share in answers)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "slimline.predict", *map(str, arguments)],
        cwd=toy.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_line_per_file(pipeline: Path, tmp_path: Path) -> None:
    Image.new("RGB", (50, 30), "white").save(tmp_path / "a.png")
    done = run(pipeline / "models" / "int8_export", tmp_path / "a.png")
    name, label, share = done.stdout.rstrip("\n").split("\t")
    assert name == str(tmp_path / "a.png")
    assert label
    assert share.endswith(" %")


def test_mistakes_are_one_sentence(pipeline: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    model = pipeline / "models" / "int8_export"
    for arguments, told in [
        ([model, tmp_path / "notes.txt"], "notes.txt: is no image that Pillow can read"),
        ([model, tmp_path / "none.png"], "none.png: there is no such file"),
        ([tmp_path, tmp_path / "notes.txt"], "is no model folder"),
        ([model], "usage: "),
    ]:
        done = run(*arguments)
        assert done.returncode in {1, 2}
        assert told in done.stderr
        assert "Traceback" not in done.stderr


def test_no_torch_is_needed() -> None:
    code = "import sys, slimline.predict; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=toy.ROOT, check=False).returncode == 0
