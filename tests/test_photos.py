"""The documented way for one's own photos: from `dvc add` to the int8 model and a prediction."""

import hashlib
import subprocess
import sys
from pathlib import Path

import photos
import pytest
import toy

from slimline import files
from slimline.data import packed_files

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = toy.make(tmp_path_factory.mktemp("photos") / "toy")
    photos.make(folder / "data" / "raw" / "shoes", per_class=120)
    settings = {
        "data.source": "shoes",
        "data.image_size": 32,
        "data.crop": 0.9,
        "data.validation_images": 60,
        "data.calibration_images": 30,
        "data.test_images": 60,
    }
    for recipe in ("baseline_train.recipe", "backbone_swap.unfrozen", "prune.recover"):
        settings |= {
            f"{recipe}.epochs": 8,
            f"{recipe}.num_workers": 2,
            f"{recipe}.augment.crop": 0.7,
            f"{recipe}.augment.flip": True,
        }
    toy.set_params(folder, settings)
    toy.dvc(folder, "add", "data/raw/shoes")
    toy.commit(folder, "Bring my own photos")
    toy.dvc(folder, "repro")
    return folder


def test_the_photos_are_tracked_and_not_in_git(workspace: Path) -> None:
    tracked = toy.git(workspace, "ls-files", "data/raw").splitlines()
    assert "data/raw/shoes.dvc" in tracked
    assert not any(".jpg" in name or ".png" in name for name in tracked)


def test_prepared_splits_are_the_files_or_smaller_copies(workspace: Path) -> None:
    prepared = workspace / "data" / "prepared" / "test"
    assert files.read_json(prepared / "manifest.json")["classes"] == list(photos.CLASSES)
    members = list(packed_files.load(prepared / "images").members())
    assert len(members) == 60
    for each in members:
        original = (workspace / "data" / "raw" / "shoes" / each.name).read_bytes()
        assert each.sha256 == hashlib.sha256(original).hexdigest()
        if each.suffix == ".ppm":
            assert len(each.content) < len(original)
        else:
            assert each.content == original
    assert {".ppm", ".jpeg", ".png"} <= {each.suffix for each in members}


def test_the_model_has_learned_and_says_how_to_feed_it(workspace: Path) -> None:
    figures = files.read_json(workspace / "metrics" / "evaluate" / "int8_export.json")
    assert figures["top1"] > 60
    content = files.read_json(workspace / "models" / "int8_export" / "model.json")
    assert content["input"]["shape"] == ["batch", 3, 32, 32]
    assert content["preprocessing"]["crop"] == 0.9
    assert content["preprocessing"]["steps"]


def test_a_photo_is_classified(workspace: Path) -> None:
    path = workspace / "data" / "raw" / "shoes" / "trouser" / "trouser 1.jpg"
    done = subprocess.run(
        [sys.executable, "-m", "slimline", "predict", "models/int8_export", str(path)],
        cwd=workspace,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\t")[1] in photos.CLASSES


def test_a_second_run_does_nothing(workspace: Path) -> None:
    assert "Running stage" not in toy.dvc(workspace, "repro").stdout


def test_a_broken_photo_stops_the_run_before_training(workspace: Path) -> None:
    bad = workspace / "data" / "raw" / "shoes" / "boot" / "bad.jpg"
    bad.write_bytes(b"no image")
    toy.dvc(workspace, "add", "data/raw/shoes")
    done = toy.dvc(workspace, "repro", check=False)
    assert done.returncode != 0
    assert "boot/bad.jpg: is no image" in done.stdout + done.stderr
    assert "Running stage 'baseline_train'" not in done.stdout
    toy.set_params(workspace, {"data.on_bad_image": "skip"})
    done = toy.dvc(workspace, "repro")
    assert "boot/bad.jpg: is no image" in done.stdout + done.stderr
