"""A folder of a user's own under data/raw/pretrained, looked at without torch."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import toy
from safetensors.torch import save_file

from slimline.errors import PretrainedError
from slimline.networks import checkpoint_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mine"
    made.mkdir()
    save_file({"weight": torch.zeros(2, 2)}, made / "best.safetensors")
    return made


def refusal(root: Path, name: str = "mine") -> str:
    with pytest.raises(PretrainedError) as refused:
        checkpoint_folder.read(root, name)
    return str(refused.value)


def test_weights_notes_and_labels(folder: Path, tmp_path: Path) -> None:
    (folder / "best.json").write_text('{"mean": [0], "std": [1], "image_size": 224}')
    (folder / "labels.txt").write_text("a cat\nünlü köpek\n\n", encoding="utf-8")
    for name in ("README.md", "LICENSE", ".gitignore", "train.log"):
        (folder / name).touch()
    found = checkpoint_folder.read(tmp_path, "mine")
    assert found.weights.name == "best.safetensors"
    assert (found.notes.mean, found.notes.image_size) == ([0.0], 224)
    assert found.labels == ("a cat", "ünlü köpek")
    assert found.unused == ("train.log",)


def test_one_checkpoint_a_folder(folder: Path, tmp_path: Path) -> None:
    (folder / "last.pth").touch()
    assert "must have one file of weights" in refusal(tmp_path)
    assert "has best.safetensors, last.pth" in refusal(tmp_path)
    (folder / "last.pth").unlink()
    for name in ("a.json", "b.json"):
        (folder / name).write_text("{}")
    assert "one JSON file at most, has a.json, b.json" in refusal(tmp_path)


def test_a_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert "has nothing" in refusal(tmp_path)


@pytest.mark.usefixtures("folder")
def test_a_missing_folder_names_what_is_there(tmp_path: Path) -> None:
    told = refusal(tmp_path, "yours")
    assert f"there is no folder {tmp_path / 'yours'}; {tmp_path} has mine" in told
    assert "dvc pull" in told


def test_labels_that_cannot_be(folder: Path, tmp_path: Path) -> None:
    (folder / "labels.txt").write_text("cat\ndog\ncat\n")
    assert "names 'cat' twice" in refusal(tmp_path)
    (folder / "labels.txt").write_bytes(b"caf\xe9\n")
    assert "must be text in UTF-8" in refusal(tmp_path)
    (folder / "labels.txt").write_text("cat\n")
    (folder / "best.json").write_text('{"labels": ["cat"]}')
    assert "has labels as well; keep one" in refusal(tmp_path)


def test_a_json_file_that_is_none(folder: Path, tmp_path: Path) -> None:
    (folder / "best.json").write_text("{mean: 1}")
    assert f"{folder / 'best.json'}: is no JSON" in refusal(tmp_path)


def test_a_model_folder_that_only_deploys(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "model.json").write_text("{}")
    assert "without weights.safetensors, which only deploys" in refusal(tmp_path)


def test_the_folders_that_dvc_depends_on_are_committed() -> None:
    """For `none` and `imagenet` there must be something to hash."""
    for name in ("none", "imagenet"):
        assert toy.git(toy.ROOT, "ls-files", f"data/raw/pretrained/{name}").strip()


def test_it_needs_no_torch() -> None:
    code = "import sys, slimline.networks.checkpoint_folder; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=toy.ROOT, check=False).returncode == 0
