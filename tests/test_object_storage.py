"""Photos and prepared splits on object storage, by the S3 API of a real server, as docs say it."""

import os
from pathlib import Path

import object_storage
import photos
import pytest
import toy

pytestmark = pytest.mark.slow


def test_what_is_pushed_is_pulled_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with object_storage.running(monkeypatch) as endpoint:
        check(tmp_path, endpoint)


def check(tmp_path: Path, endpoint: str) -> None:
    folder = toy.make(tmp_path / "here")
    photos.make(folder / "data" / "raw" / "shoes")
    toy.set_params(
        folder,
        {"data.source": "shoes", "data.image_size": 32, "data.validation_images": 15,
         "data.calibration_images": 9, "data.test_images": 15},
    )  # fmt: skip
    toy.dvc(folder, "remote", "add", "--default", "storage", f"s3://{object_storage.BUCKET}/photos")
    toy.dvc(folder, "remote", "modify", "storage", "endpointurl", endpoint)
    toy.dvc(folder, "add", "data/raw/shoes")
    toy.dvc(folder, "repro", "prepare_data")
    toy.commit(folder, "Prepare photos")
    toy.dvc(folder, "push")

    other = tmp_path / "there"
    toy.git(tmp_path, "clone", "--quiet", str(folder), str(other))
    assert not (other / "data" / "prepared" / "train").exists()
    toy.dvc(other, "pull", "data/raw/shoes.dvc", "prepare_data")
    for part in (Path("data", "raw", "shoes"), Path("data", "prepared")):
        assert files_of(other / part) == files_of(folder / part)
    assert "Running stage" not in toy.dvc(other, "repro", "prepare_data").stdout


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        os.fspath(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".gitignore"
    }
