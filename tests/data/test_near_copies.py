"""Copies that are resized, recompressed or in another format, in one split or two."""

import io
from pathlib import Path

import photos
import pytest
import small_photos
import toy
from PIL import Image

from slimline.data import folders, near_copies, splitting
from slimline.data.near_copies import NearPair
from slimline.data.split_files import Split
from slimline.errors import DataError


def half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2))


def recompressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=50)
    return Image.open(file).convert("RGB")


def squashed(image: Image.Image) -> Image.Image:
    return image.resize((64, 64))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Image.Image]:
    folder = photos.make(tmp_path_factory.mktemp("photos") / "set")
    return [Image.open(path).convert("RGB") for path in sorted(folder.rglob("*.png"))]


@pytest.mark.parametrize("copy", [half, recompressed, squashed])
def test_a_copy_is_found_with_its_original(pictures: list[Image.Image], copy) -> None:
    originals = [near_copies.look(picture) for picture in pictures]
    copies = [near_copies.look(copy(picture)) for picture in pictures[:20]]
    assert list(near_copies.find(copies, originals)) == [NearPair(row, row) for row in range(20)]


def test_other_photos_are_no_copies(pictures: list[Image.Image]) -> None:
    looks = [near_copies.look(picture) for picture in pictures]
    assert list(near_copies.find(looks[:15], looks[15:])) == []


def test_the_same_shape_in_other_colours_is_no_copy(pictures: list[Image.Image]) -> None:
    red, green, blue = pictures[0].split()
    other = Image.merge("RGB", (blue.point(lambda value: value // 2), red, green))
    assert list(near_copies.find([near_copies.look(pictures[0])], [near_copies.look(other)])) == []


def test_many_photos_are_compared_in_parts(
    pictures: list[Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = [near_copies.look(picture) for picture in pictures]
    monkeypatch.setattr(near_copies, "_AT_ONCE", 70)
    assert list(near_copies.find(looks, looks)) == [NearPair(row, row) for row in range(len(looks))]
    assert list(near_copies.find([], looks)) == list(near_copies.find(looks, [])) == []


@pytest.fixture
def leaking(tmp_path: Path) -> Path:
    """A set whose train has two photos of its test, smaller, and one of its val."""
    for path in sorted(photos.make(tmp_path / "made", per_class=36).rglob("*.*")):
        number = int(path.stem.split()[-1])
        target = tmp_path / "set" / ("train", "val", "test")[number % 9 // 3] / path.parent.name
        target.mkdir(parents=True, exist_ok=True)
        path.rename(target / path.name)
    for part, number in (("test", 6), ("test", 15), ("val", 3)):
        picture = Image.open(tmp_path / "set" / part / "boot" / f"boot {number}.png")
        half(picture).save(tmp_path / "set/train/boot" / f"{part} {number} small.jpg", quality=95)
    return tmp_path


def prepare(raw: Path, answer: str) -> dict[str, Split]:
    changes = {"source": "set", "image_size": 32, "near_copies": answer}
    counts = {"validation_images": 0, "calibration_images": 3, "test_images": 0}
    settings = toy.DATA.model_copy(update=changes | counts)
    return splitting.prepare(raw, settings, seed=1, scratch=raw)


def test_copies_in_two_splits_are_reported(
    leaking: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = prepare(leaking, "report")
    test, validation, advice = [
        line for line in capsys.readouterr().out.splitlines() if "cop" in line or "pair" in line
    ]
    assert test.startswith("test: 2 of 36 photos have a near copy in another split")
    assert "test/boot/boot 15.png = train/boot/test 15 small.jpg" in test
    assert validation.startswith("validation: 1 of 36 photos")
    assert "labels.csv" in advice
    assert len(parts["train"]) == 36 + 3 - 3


def test_copies_in_two_splits_are_refused(leaking: Path) -> None:
    with pytest.raises(DataError) as refused:
        prepare(leaking, "refuse")
    assert str(refused.value).startswith("set: test: 2 of 36 photos have a near copy")
    assert "data.near_copies: report goes on" in str(refused.value)


def test_copies_are_not_looked_for_unless_wanted(
    leaking: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = prepare(leaking, "ignore")
    assert "near copy" not in capsys.readouterr().out
    assert {each.look for split in parts.values() for each in split.images.files} == {b""}


def test_the_same_pixels_in_another_format_are_one_photo(tmp_path: Path) -> None:
    folder = small_photos.fill(tmp_path / "set", "oak", "elm")
    Image.open(folder / "oak" / "0.png").save(folder / "oak" / "again.bmp")
    assert len(folders.read(folder, size=16, crop=1, skip_bad=False).train) == 4


def test_the_same_pixels_in_another_format_never_stand_in_two_parts(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    small_photos.fill(folder / "train", "oak", "elm")
    small_photos.fill(folder / "test", "oak", "elm")
    Image.open(folder / "test" / "oak" / "0.png").save(folder / "train" / "oak" / "copy.tiff")
    with pytest.raises(DataError, match=r"train/oak/copy\.tiff: is the same image as test/oak/0"):
        folders.read(folder, size=16, crop=1, skip_bad=False)


def test_near_copies_cannot_be_refused_where_nobody_looks(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.near_copies: near copies are looked for among"):
        toy.splits(tmp_path, near_copies="refuse")
