"""Photos through every stage, in one process: each stage's `main`, as dvc.yaml calls it.

The same on real DVC, trained until it knows something, is `tests/test_photos.py`, which is slow.
"""

import importlib
import subprocess
import sys
import warnings
from pathlib import Path

import photos
import pytest
import toy

from slimline import files
from slimline.__main__ import main as slimline
from slimline.repository import declared_stages

SETTINGS = {
    "data.source": "shoes", "data.image_size": 32, "data.crop": 0.9, "data.validation_images": 15,
    "data.calibration_images": 9, "data.test_images": 15, "training.batch_size": 10,
    "training.num_workers": 1, "training.augment.crop": 0.7, "training.augment.flip": True,
    "training.augment.color": 0.2, "baseline_train.backbone": "resnet8_w48",
    "backbone_swap.backbone": "resnet8_w48", "baseline_train.recipe.epochs": 1,
    "backbone_swap.unfrozen.epochs": 1, "prune.steps": 1, "prune.recover.epochs": 0.5,
    "int8_export.max_top1_difference": 100, "gates.min_size_ratio": "none",
    "gates.min_speedup": "none", "gates.max_top1_drop": 100, "benchmark.blocks": 2,
    "backbone_swap.frozen.batch_size": 10,
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = toy.make(tmp_path_factory.mktemp("photo_stages") / "toy", num_test=10)
    photos.make(folder / "data" / "raw" / "shoes")
    toy.set_params(folder, SETTINGS)
    toy.dvc(folder, "add", "data/raw/shoes")
    toy.commit(folder, "Bring my own photos")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")  # what a stage would print over a user's photos
        patch.chdir(folder)
        for stage in declared_stages.read(folder):
            module, *paths = stage.cmd.removeprefix("python -m ").split()
            importlib.import_module(module).main(*map(Path, paths))
    toy.dvc(folder, "commit", "--force")
    toy.commit(folder, "Run the pipeline")
    return folder


def test_all_comes_to_a_report(workspace: Path) -> None:
    figures = {
        path.stem: files.read_json(path) for path in (workspace / "metrics/evaluate").glob("*.json")
    }
    assert set(figures) == set(toy.VARIANTS)
    assert figures["int8_export"]["int8_macs"] > 99
    manifest = files.read_json(workspace / "data" / "prepared" / "test" / "manifest.json")
    assert manifest["classes"] == list(photos.CLASSES)
    assert (workspace / "metrics" / "report.html").is_file()


def test_what_is_committed_is_current_for_dvc_gate_and_diff(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workspace)
    assert "Running stage" not in toy.dvc(workspace, "repro").stdout
    assert slimline(["gate"]) == 0
    assert slimline(["diff", "HEAD"]) == 0
    assert "stale" not in capsys.readouterr().out


def test_a_photo_of_each_kind_is_answered_as_evaluate_did(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workspace)
    prepared = workspace / "data" / "prepared" / "test"
    manifest = files.read_json(prepared / "manifest.json")
    lines = (prepared / "images" / "names.txt").read_text().splitlines()
    stored, names = zip(*(line.split("  ", 1) for line in lines), strict=True)
    assert {"png", "jpeg", "ppm"} == set(stored), "of the test photos one is a resized copy"
    paths = [f"data/raw/shoes/{name}" for name in names]
    assert slimline(["predict", "models/int8_export", *paths]) == 0
    answered = [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()]
    expected = (workspace / "metrics" / "predictions" / "int8_export.txt").read_text().split()
    numbers = {name: str(number) for number, name in enumerate(manifest["classes"])}
    assert [numbers[each] for each in answered] == expected


@pytest.mark.slow
def test_a_clone_without_photos_knows_that_its_results_are_current(
    workspace: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    toy.git(workspace, "clone", "--quiet", str(workspace), str(clone))
    assert not (clone / "data" / "raw" / "shoes").exists()
    told = toy.run_command(clone, "tools/timed_repro.py")
    assert "is in DVC but not here, and is not needed: what is committed is of these" in told
    assert "Running stage" not in told
    toy.set_params(clone, {"prune.threshold": 0.5})
    done = subprocess.run(
        [sys.executable, "tools/timed_repro.py"],
        cwd=clone, env=toy.of_stages(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "`dvc checkout` brings it" in done.stderr
