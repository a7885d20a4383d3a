import shutil
from pathlib import Path

import numpy as np
import photos
import pytest
import toy

from slimline.data import split_files
from slimline.repository import untracked
from stages import prepare_data


def test_four_disjoint_stratified_splits(pipeline: Path) -> None:
    prepared = pipeline / "data" / "prepared"
    parts = {path.name: split_files.load(path) for path in prepared.iterdir() if path.is_dir()}
    assert {name: len(split) for name, split in parts.items()} == {
        "train": 1500,
        "calibration": 100,
        "validation": 200,
        "test": 300,
    }
    seen = [image.tobytes() for name in parts for image in parts[name].images if name != "test"]
    assert len(set(seen)) == 1800
    share = np.bincount(parts["train"].labels) / 1500
    for name in ("calibration", "validation"):
        found = np.bincount(parts[name].labels, minlength=10) / len(parts[name])
        assert np.abs(found - share).max() < 0.02


def test_the_splits_stay_where_training_has_another_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.make_data(tmp_path / "data/raw/toy")
    shutil.copy2(toy.ROOT / "params.yaml", tmp_path)
    small = {"data.validation_images": 50, "data.calibration_images": 10, "data.source": "toy"}
    monkeypatch.chdir(tmp_path)
    found = []
    for changes in ({"seed": 1}, {"seed": 2}, {"data.seed": 2}):
        toy.set_params(tmp_path, small | changes)
        prepare_data.main(Path("data/raw"), Path("prepared"))
        found.append(split_files.load(Path("prepared/validation")).digest)
    assert found[0] == found[1] != found[2]


def test_each_split_describes_itself(pipeline: Path) -> None:
    folder = pipeline / "data" / "prepared" / "calibration"
    assert sorted(path.name for path in folder.iterdir()) == [
        "images.npy",
        "labels.npy",
        "manifest.json",
    ]


def test_photos_that_nobody_keeps_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("data/raw/my shoes")
    photos.make(folder, per_class=2)
    untracked.warn(folder)
    assert capsys.readouterr().out == "", "outside of a repository nobody could"
    toy.git(tmp_path, "init", "--quiet")
    untracked.warn(folder)
    told = capsys.readouterr().out
    assert told.startswith("data/raw/my shoes: 6 files are in neither git nor DVC")
    assert '`dvc add "data/raw/my shoes"`' in told
    Path("data/raw/my shoes.dvc").touch()
    untracked.warn(folder)
    Path("data/raw/my shoes.dvc").unlink()
    (folder / "boot.dvc").touch()
    (folder / ".gitignore").touch()
    untracked.warn(folder)
    assert capsys.readouterr().out.startswith("data/raw/my shoes: 4 files are in neither")
    toy.git(tmp_path, "add", "--all")
    untracked.warn(folder)
    assert capsys.readouterr().out == ""
