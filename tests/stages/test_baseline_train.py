from pathlib import Path

import toy


def test_the_folder_holds_the_model_and_nothing_else(pipeline: Path) -> None:
    folder = pipeline / "models" / "baseline_train"
    assert sorted(path.name for path in folder.iterdir()) == [
        "history.tsv",
        "model.json",
        "model.onnx",
        "weights.safetensors",
    ]


def test_no_path_of_this_machine_is_inside(pipeline: Path) -> None:
    for path in (pipeline / "models").rglob("*.*"):
        content = path.read_bytes()
        assert str(pipeline).encode() not in content
        assert str(toy.ROOT).encode() not in content
        assert b"site-packages" not in content


def test_the_curve_rises(pipeline: Path) -> None:
    lines = (pipeline / "models" / "baseline_train" / "history.tsv").read_text().splitlines()
    column = lines[0].split("\t").index("validation_top1")
    scores = [float(line.split("\t")[column]) for line in lines[1:]]
    assert scores == sorted(scores)
