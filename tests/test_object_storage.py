"""Photos and prepared splits on object storage, by the S3 API of a real server, as docs say it."""

import os
from collections.abc import Iterator
from pathlib import Path

import photos
import pytest
import toy

pytestmark = pytest.mark.slow

pytest.importorskip("dvc_s3", reason="pip install --group object-storage")
moto = pytest.importorskip("moto.server", reason="pip install --group object-storage")

BUCKET = "photos"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start moto's server, with an empty bucket."""
    import boto3

    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    for name, value in (keys | {"AWS_DEFAULT_REGION": "us-east-1"}).items():
        monkeypatch.setenv(name, value)
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://127.0.0.1:{port}" if host == "0.0.0.0" else f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=url).create_bucket(Bucket=BUCKET)
    yield url
    server.stop()


def test_what_is_pushed_is_pulled_elsewhere(tmp_path: Path, endpoint: str) -> None:
    folder = toy.make(tmp_path / "here")
    photos.make(folder / "data" / "raw" / "shoes")
    toy.set_params(
        folder,
        {"data.source": "shoes", "data.image_size": 32, "data.validation_images": 15,
         "data.calibration_images": 9, "data.test_images": 15},
    )  # fmt: skip
    toy.dvc(folder, "remote", "add", "--default", "storage", f"s3://{BUCKET}/slimline")
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
