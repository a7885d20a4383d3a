"""Sets by torchvision's name, on files that are there; the network is not asked."""

import gzip
import shutil
import socket
from pathlib import Path

import pytest
import toy
from PIL import Image

from slimline.data import downloads, splitting
from slimline.errors import DataError


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine is connected to, these tests see no network."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def fashion(raw: Path) -> None:
    folder = raw / "FashionMNIST" / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    toy.make_data(raw / "toy")
    for path in (raw / "toy").glob("*.gz"):
        (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))


def test_a_set_that_is_there_is_read_without_a_network(tmp_path: Path) -> None:
    fashion(tmp_path)
    settings = toy.DATA.model_copy(update={"source": "FashionMNIST"})
    splits = splitting.prepare(tmp_path, settings, seed=1, scratch=tmp_path / "scratch")
    expected = splitting.prepare(tmp_path, toy.DATA, seed=1, scratch=tmp_path)
    for name, split in splits.items():
        assert (split.images == expected[name].images).all()
        assert (split.labels == expected[name].labels).all()
    assert splits["train"].classes[9] == "Ankle boot"


def test_a_set_of_files_stays_files(tmp_path: Path) -> None:
    for number, name in enumerate(("Forest", "River", "SeaLake")):
        folder = tmp_path / "EuroSAT" / "eurosat" / "2750" / name
        folder.mkdir(parents=True)
        for position in range(20):
            image = Image.new("RGB", (64, 64), (60 * number, 10 * position, 0))
            image.save(folder / f"{name}_{position}.jpg")
    settings = toy.DATA.model_copy(
        update={
            "source": "EuroSAT",
            "validation_images": 12,
            "calibration_images": 6,
            "test_images": 12,
        }
    )
    splits = splitting.prepare(tmp_path, settings, seed=1, scratch=tmp_path)
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 30,
        "validation": 12,
        "calibration": 6,
        "test": 12,
    }
    assert splits["train"].images[:2].shape == (2, 28, 28, 3)
    assert list(splits["train"].classes) == ["Forest", "River", "SeaLake"]


@pytest.mark.parametrize("name", downloads.SETS)
def test_without_a_network_one_sentence_says_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / "scratch").mkdir()
    with pytest.raises(DataError) as refused:
        downloads.read(name, tmp_path, tmp_path / "scratch", size=28, crop=1)
    told = str(refused.value)
    assert f"data.source: {name} cannot be downloaded" in told
    assert f"data/raw/{name}" in told
    assert "\n" not in told


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "CIFAR10").mkdir()
    (tmp_path / "CIFAR10" / "photo.jpg").touch()
    with pytest.raises(DataError, match="CIFAR10: is not torchvision's CIFAR10"):
        downloads.read("CIFAR10", tmp_path, tmp_path, size=28, crop=1)


def test_each_set_has_a_folder_for_dvc_to_look_at() -> None:
    """A dependency that is missing stops DVC before `prepare_data` could download it."""
    raw = toy.ROOT / "data" / "raw"
    noted = {path.parent.name for path in raw.glob("*/README.md")} - {"pretrained", "fashion_mnist"}
    assert noted == set(downloads.SETS)


def test_a_folder_that_holds_a_note_alone_is_downloaded(tmp_path: Path) -> None:
    shutil.copytree(toy.ROOT / "data" / "raw" / "CIFAR10", tmp_path / "CIFAR10")
    settings = toy.DATA.model_copy(update={"source": "CIFAR10"})
    with pytest.raises(DataError, match="CIFAR10 cannot be downloaded"):
        splitting.prepare(tmp_path, settings, seed=1, scratch=tmp_path / "scratch")
