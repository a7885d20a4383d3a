import tarfile
from pathlib import Path

import numpy as np
import photos
import pytest
import toy
from PIL import Image

from slimline.data import split_files, splitting
from slimline.errors import DataError


def refusal(raw: Path, **changes: object) -> str:
    with pytest.raises(DataError) as refused:
        toy.splits(raw, **changes)
    return str(refused.value)


def test_another_size_is_resized(tmp_path: Path) -> None:
    assert toy.splits(tmp_path, image_size=16)["test"].images.shape == (300, 16, 16, 1)


def test_a_crop_looks_at_the_centre(tmp_path: Path) -> None:
    whole, centre = (
        toy.splits(tmp_path / str(crop), image_size=14, crop=crop)["test"] for crop in (1, 0.5)
    )
    original = toy.splits(tmp_path / "original")["test"]
    assert np.array_equal(centre.images, original.images[:, 7:21, 7:21])
    assert not np.array_equal(centre.images, whole.images)
    assert centre.preprocessing.crop == 0.5


def test_the_seed_decides_the_split(tmp_path: Path) -> None:
    first, again, other = (
        photos.prepare(tmp_path / name, seed=seed)["validation"].digest
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first == again != other


@pytest.mark.parametrize("kind", ["arrays", "photos"])
def test_the_first_images_of_every_split_are_a_sample(kind: str, tmp_path: Path) -> None:
    parts = toy.splits(tmp_path) if kind == "arrays" else photos.prepare(tmp_path)
    for name, split in parts.items():
        whole = np.bincount(split.labels, minlength=len(split.classes)) / len(split)
        for share in (0.3, 0.6):
            count = round(share * len(split))
            found = np.bincount(split.labels[:count], minlength=len(split.classes))
            assert np.abs(found - whole * count).max() <= 2, name
        assert not np.all(np.diff(split.labels) >= 0), f"{name} is sorted by class"


def test_a_split_that_the_user_brings_comes_in_a_random_order_too(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        photos.make(tmp_path / "photos" / part, per_class=8, seed=len(part))
    held = {"validation_images": 0, "test_images": 0, "calibration_images": 6}
    parts = photos.prepare(tmp_path, make=False, **held)
    other = photos.prepare(tmp_path, make=False, seed=2, **held)
    for name in ("validation", "test"):
        assert set(parts[name].labels[:3]) == {0, 1, 2}
        assert parts[name].digest != other[name].digest
        assert sorted(parts[name].labels) == sorted(other[name].labels)


def test_the_normalisation_is_that_of_the_training_split(tmp_path: Path) -> None:
    split = toy.splits(tmp_path)["train"]
    scaled = split.images / 255
    assert split.preprocessing.mean == (round(scaled.mean(), 4),)
    assert split.preprocessing.std == (round(scaled.std(), 4),)


def test_a_missing_folder_names_what_is_there(tmp_path: Path) -> None:
    told = refusal(tmp_path, source="cats")
    assert "there is no folder" in told
    assert "['toy']" in told
    assert "CIFAR10" in told


def test_too_few_images(tmp_path: Path) -> None:
    told = refusal(tmp_path, validation_images=1700)
    assert "= 1800 leave nothing to train on" in told


def test_images_are_held_out_by_the_set_or_by_us_not_by_both(tmp_path: Path) -> None:
    told = refusal(tmp_path / "one", test_images=50)
    assert "data.test_images: the set has 300 test images of its own: say 0 (given 50)" in told
    told = refusal(tmp_path / "other", validation_images=0)
    assert "data.validation_images: the set has no validation images of its own" in told


def test_photos_are_split_disjointly_and_evenly(tmp_path: Path) -> None:
    parts = photos.prepare(tmp_path)
    names = {
        name: {each.name for each in split.images.files.members()}  # type: ignore[union-attr]
        for name, split in parts.items()
    }
    assert sum(map(len, names.values())) == len(set().union(*names.values())) == photos.COUNT
    counts = np.bincount(parts["test"].labels, minlength=3)
    assert counts.max() - counts.min() <= 1


def test_photos_survive_saving(tmp_path: Path) -> None:
    split = photos.prepare(tmp_path)["train"]
    split_files.save(tmp_path / "prepared", split)
    again = split_files.load(tmp_path / "prepared")
    assert np.array_equal(again.images[:5], split.images[:5])
    assert np.array_equal(again.labels, split.labels)
    rows = np.array([4, 1])
    assert np.array_equal(again.images[rows], split.images[[4, 1]])
    assert again.preprocessing == split.preprocessing
    assert again.digest == split.digest, "a prepared split can be prepared anew"
    with tarfile.open(tmp_path / "prepared" / "images" / "images-00000.tar") as archive:
        names = archive.getnames()
    assert len(names) == len(split)
    assert names[0].startswith("0000000.")
    assert {Path(name).suffix for name in names} == {".jpeg", ".png"}


def test_a_rare_class_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos.make(tmp_path / "photos")
    for path in sorted((tmp_path / "photos" / "boot").iterdir())[4:]:
        path.unlink()
    photos.prepare(tmp_path, make=False)
    assert "'boot': " in capsys.readouterr().out


def test_a_channel_that_is_the_same_everywhere_is_not_divided_by_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As microscopy of two channels that was saved as RGB."""
    generator = np.random.default_rng(0)
    for label in ("one", "two"):
        folder = tmp_path / "cells" / label
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = generator.integers(0, 256, (32, 32, 3), np.uint8)
            pixels[..., 2] = 0
            Image.fromarray(pixels).save(folder / f"{number}.png")
    settings = toy.DATA.model_copy(
        update={"source": "cells", "image_size": 32, "validation_images": 8,
                "calibration_images": 8, "test_images": 8}
    )  # fmt: skip
    split = splitting.prepare(tmp_path, settings, seed=1, scratch=tmp_path)["train"]
    assert split.preprocessing.mean[2] == 0
    assert split.preprocessing.std[2] == 1
    assert "channel 2 of 3, counted from 0, is the same in every image" in capsys.readouterr().out
    assert np.isfinite(split.preprocessing.normalise(split.images[:])).all()
