from pathlib import Path

import numpy as np
import photos
import pytest
from PIL import Image

from slimline.data import folders
from slimline.data.raw_set import RawSet
from slimline.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return photos.make(tmp_path / "photos", per_class=4)


def read(folder: Path, *, skip_bad: bool = False) -> RawSet:
    return folders.read(folder, size=32, crop=1, skip_bad=skip_bad)


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as refused:
        read(folder)
    return str(refused.value)


def spoil(folder: Path) -> dict[str, str]:
    """Put bad files among the photos; return by name what must be said of them."""
    boot = folder / "boot"
    whole = (boot / "boot 1.jpg").read_bytes()
    (boot / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (boot / "empty.png").write_bytes(b"")
    (boot / "notes.txt").write_text("call the shop")
    Image.fromarray(np.ones((4, 4), np.float32)).save(boot / "heat.tiff")
    return {
        "boot/cut.jpg": "cannot be decoded",
        "boot/empty.png": "is no image",
        "boot/notes.txt": "is no image",
        "boot/heat.tiff": "floats",
    }


def test_bad_files_are_named_with_the_reason(folder: Path) -> None:
    expected = spoil(folder)
    told = refusal(folder)
    assert "4 files cannot be used" in told
    assert "data.on_bad_image: skip" in told
    for name, reason in expected.items():
        line = next(each for each in told.splitlines() if name in each)
        assert reason in line


def test_bad_files_are_left_out_when_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = spoil(folder)
    found = read(folder, skip_bad=True)
    assert len(found.train) == 12
    printed = capsys.readouterr().out
    assert all(name in printed for name in names)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "RGB", "YCbCr"])
def test_every_kind_of_image_can_be_read(folder: Path, mode: str) -> None:
    image = Image.new(mode, (9, 31))
    suffix = "jpg" if mode in {"CMYK", "YCbCr"} else "png"
    image.save(folder / "boot" / f"odd.{suffix}")
    assert len(read(folder).train) == 13


def test_a_set_is_grey_if_all_its_images_are(folder: Path) -> None:
    assert read(folder).train.images[:1].shape[-1] == 3
    for path in folder.rglob("*.*"):
        Image.open(path).convert("L").save(path)
    assert read(folder).train.images[:1].shape[-1] == 1


def test_parts_of_the_set_are_kept(tmp_path: Path) -> None:
    split = tmp_path / "split"
    for name in ("train", "test"):
        photos.make(split / name, per_class=3)
    for path in (split / "test").rglob("*.*"):
        Image.open(path).rotate(180).save(path)
    found = read(split)
    assert (len(found.train), found.validation, len(found.test or [])) == (9, None, 9)


def test_an_image_in_train_and_test_is_a_leak(tmp_path: Path) -> None:
    split = tmp_path / "split"
    for name in ("train", "test"):
        photos.make(split / name, per_class=3)
    leaked = "train/boot/boot 0.png: is the same image as test/boot/boot 0.png"
    assert leaked in refusal(split)
    for number in (1, 2):
        for name in photos.CLASSES:
            (split / "test" / name).joinpath(f"{name} {number}.jpg").unlink()
    found = read(split, skip_bad=True)
    assert (len(found.train), len(found.test or [])) == (6, 3)


def test_the_same_image_in_two_classes_is_in_none(folder: Path) -> None:
    content = (folder / "boot" / "boot 1.jpg").read_bytes()
    (folder / "shirt" / "copy.jpg").write_bytes(content)
    assert "boot/boot 1.jpg and shirt/copy.jpg: are the same image in different" in refusal(folder)
    assert len(read(folder, skip_bad=True).train) == 11


def test_an_image_in_every_class_makes_no_endless_sentence(tmp_path: Path) -> None:
    for number in range(40):
        folder = tmp_path / f"class {number:02d}"
        folder.mkdir()
        Image.new("L", (8, 8), 255).save(folder / "not there.png")
        Image.new("L", (8, 8), number).save(folder / "own.png")
    told = next(line for line in refusal(tmp_path).splitlines() if "are the same image" in line)
    assert "class 04/not there.png and 35 more: are the same image in different classes" in told
    assert len(told) < 200


def test_a_copy_in_the_same_class_is_used_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = (folder / "boot" / "boot 1.jpg").read_bytes()
    (folder / "boot" / "copy.jpg").write_bytes(content)
    assert len(read(folder).train) == 12
    assert "1 image is there more than once" in capsys.readouterr().out


def test_hostile_names_are_harmless(folder: Path) -> None:
    hostile = ("-rf.png", "a\nb.png", "$(reboot).png", "x.jpg.exe", "\x1b[31m.png", "\udcff.png")
    for number, name in enumerate(hostile):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(folder / "boot" / name, "png")
    found = read(folder)
    assert len(found.train) == 18
    names = [each.name for each in found.train.images.files]  # type: ignore[union-attr]
    assert all(name.isprintable() for name in names)


def test_what_is_hidden_is_no_image(folder: Path) -> None:
    (folder / "boot" / ".DS_Store").write_bytes(b"x")
    (folder / "boot" / "Thumbs.db").write_bytes(b"x")
    (folder / ".ipynb_checkpoints").mkdir()
    assert len(read(folder).train) == 12


def test_one_class_is_none(tmp_path: Path) -> None:
    photos.make(tmp_path / "photos", per_class=2)
    for name in ("shirt", "trouser"):
        for path in (tmp_path / "photos" / name).iterdir():
            path.unlink()
        (tmp_path / "photos" / name).rmdir()
    assert "two or more classes" in refusal(tmp_path / "photos")


def test_a_class_of_bad_files_alone_is_refused(folder: Path) -> None:
    for path in (folder / "boot").iterdir():
        path.write_text("no image")
    with pytest.raises(DataError, match="class 'boot' has no image"):
        read(folder, skip_bad=True)


def test_a_class_that_train_does_not_have(tmp_path: Path) -> None:
    for name in ("train", "test"):
        photos.make(tmp_path / "set" / name, per_class=2)
    (tmp_path / "set" / "test" / "boot").rename(tmp_path / "set" / "test" / "hat")
    assert "train/ has no class 'hat'" in refusal(tmp_path / "set")


def test_a_class_name_must_be_printable(folder: Path) -> None:
    (folder / "boot").rename(folder / "bo\not")
    assert "printable name; 'bo\\not' is none" in refusal(folder)
