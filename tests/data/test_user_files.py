"""What files hold: what is broken is named, what is sound is used, always the same."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import small_photos
from PIL import Image, ImageFile

from slimline.data import folders, lists, preprocessing, user_files
from slimline.data.raw_set import RawSet
from slimline.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_photos.fill(tmp_path / "set", "oak", "elm")


def read(folder: Path, *, skip_bad: bool = False) -> RawSet:
    return folders.read(folder, size=16, crop=1, skip_bad=skip_bad)


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as refused:
        read(folder)
    return str(refused.value)


@pytest.mark.parametrize("error", [TypeError("odd"), struct.error("x"), RecursionError(), KeyError])
def test_whatever_pillow_raises_is_of_one_file(
    folder: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = ImageFile.ImageFile.load

    def load(image: ImageFile.ImageFile) -> object:
        if image.height == 13:
            raise error
        return good(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    small_photos.save(folder / "oak" / "odd.png", (12, 13))
    told = refusal(folder)
    assert "1 files cannot be used" in told
    assert "oak/odd.png: cannot be decoded: " in told
    assert len(read(folder, skip_bad=True).train) == 4


def test_damaged_files_are_named_whatever_is_wrong(folder: Path) -> None:
    """Every byte of a header counts for something, and none ends in a traceback."""
    image = Image.fromarray(np.zeros((4, 4), np.uint8))
    names = []
    for suffix in ("png", "bmp", "gif", "tiff", "ico", "webp", "jpg", "ppm", "dds", "tga"):
        image.save(folder / "oak" / f"sound.{suffix}")
        content = (folder / "oak" / f"sound.{suffix}").read_bytes()
        for at in range(0, min(len(content), 60), 3):
            name = f"{suffix} {at}"
            broken = content[:at] + bytes([content[at] ^ 0xA5]) + content[at + 1 :]
            (folder / "oak" / name).write_bytes(broken + bytes(name, "ascii"))
            names.append(name)
    read(folder, skip_bad=True)
    assert len(names) > 100


def test_a_photo_with_broken_exif_is_used_and_turned(folder: Path) -> None:
    turned = (0x0112, 3, 1, struct.pack("<HH", 6, 0))
    odd = [
        [(0x0100, 2, 4, b"abc\0"), turned],
        [(0x010F, 2, 4000, struct.pack("<I", 9999)), turned],
        [turned, (0x8769, 4, 1, struct.pack("<I", 60000))],
        [(0x011A, 5, 1, struct.pack("<I", 7777)), turned],
        [turned, (0x9999, 77, 3, b"\xff\xff\xff\xff")],
    ]
    for number, entries in enumerate(odd):
        path = folder / "oak" / f"exif {number}.jpg"
        path.write_bytes(small_photos.with_exif(small_photos.photo((30, 20)), entries))
    found = read(folder)
    assert len(found.train) == 9
    files = found.train.images
    shapes = [files.whole(row).shape for row in range(9) if "exif" in files.files[row].name]
    assert shapes == [(30, 20, 3)] * 5


@pytest.mark.parametrize(
    "orientation",
    [(0x0112, 2, 4, b"up!\0"), (0x0112, 3, 1, struct.pack("<HH", 99, 0)), (0x0112, 11, 1, b"abcd")],
)
def test_an_orientation_that_is_none_turns_nothing(
    folder: Path, orientation: tuple[int, int, int, bytes]
) -> None:
    path = folder / "oak" / "odd.jpg"
    path.write_bytes(small_photos.with_exif(small_photos.photo((30, 20)), [orientation]))
    files = read(folder).train.images
    row = next(row for row in range(5) if "odd" in files.files[row].name)
    assert files.whole(row).shape == (20, 30, 3)


def test_a_large_photo_is_used_wherever_it_stands(folder: Path) -> None:
    """90 megapixels, of which Pillow warns: no filter of a thread beside it decides."""
    Image.new("1", (9500, 9500)).save(folder / "oak" / "0 first.png")
    Image.new("1", (9501, 9500)).save(folder / "oak" / "z last.png")
    assert len(read(folder).train) == 6


def png_header(width: int, height: int) -> bytes:
    """Return a PNG of any size that holds no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT\0\0\0\0"


@pytest.mark.parametrize("size", [(16001, 16000), (30000, 17000), (100_000, 100_000)])
def test_what_is_larger_than_any_photo_is_refused(folder: Path, size: tuple[int, int]) -> None:
    for position in "az":
        (folder / "oak" / f"{position}.png").write_bytes(png_header(*size))
    told = refusal(folder)
    assert "2 files cannot be used" in told
    assert told.count("256 megapixels are the most: make it smaller") == 2


@pytest.mark.parametrize(("bits", "factor"), [(10, 64), (12, 16), (14, 4), (15, 2)])
def test_fewer_bits_in_files_of_16_are_refused(folder: Path, bits: int, factor: int) -> None:
    values = np.random.default_rng(0).integers(0, 2**bits, (6, 6)).astype(np.uint16)
    values[0, 0] = 2**bits - 1
    Image.fromarray(values).save(folder / "elm" / "scan.tiff")
    told = refusal(folder)
    assert f"as elm/scan.tiff, hold no value above {2**bits - 1} of 65535" in told
    assert f"multiply their values by {factor}" in told
    Image.fromarray(values * np.uint16(factor)).save(folder / "elm" / "scan.tiff")
    assert len(read(folder).train) == 5


def test_fewer_bits_in_colours_are_refused_too(folder: Path) -> None:
    rows = b"".join(b"\0" + struct.pack(">9H", *range(300, 3900, 400)) for _ in range(3))
    header = b"IHDR" + struct.pack(">IIBBBBB", 3, 3, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for chunk in (header, b"IDAT" + zlib.compress(rows), b"IEND"):
        size, check = (struct.pack(">I", each) for each in (len(chunk) - 4, zlib.crc32(chunk)))
        content += size + chunk + check
    (folder / "elm" / "scan.png").write_bytes(content)
    assert "1 files of 16 bits, as elm/scan.png" in refusal(folder)


def test_a_dark_file_among_bright_ones_is_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, highest in (("bright", 65000), ("dark", 3000), ("black", 0)):
        Image.fromarray(np.full((4, 4), highest, np.uint16)).save(folder / "elm" / f"{name}.png")
    assert len(read(folder).train) == 7
    printed = capsys.readouterr().out
    assert "1 files of 16 bits hold no value above 4095" in printed
    assert "nearly black: elm/dark.png" in printed


def test_pictures_of_eight_bits_are_not_taken_for_more(folder: Path) -> None:
    Image.new("RGB", (4, 4), (5, 5, 5)).save(folder / "elm" / "night.bmp")
    assert len(read(folder).train) == 5


def test_sets_are_read_with_pillow_as_it_comes(folder: Path) -> None:
    assert preprocessing.MAX_PIXELS == Image.MAX_IMAGE_PIXELS
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    assert len(read(folder).train) == 4


@pytest.mark.parametrize(("suffix", "is_told"), [("HEIC", True), ("heif", True), ("txt", False)])
def test_photos_of_iphones_must_be_converted(folder: Path, suffix: str, is_told: bool) -> None:
    (folder / "oak" / f"a.{suffix}").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    told = refusal(folder)
    assert f"oak/a.{suffix}: is no image that Pillow can read" in told
    assert ("convert it to JPEG first, as HEIC photos of iPhones must be" in told) == is_told


@pytest.mark.parametrize("alike", ["Oak", "oak ", " O a k"])
def test_classes_that_may_be_one_are_told(
    folder: Path, alike: str, capsys: pytest.CaptureFixture[str]
) -> None:
    read(folder)
    assert "warning" not in capsys.readouterr().out
    small_photos.fill(folder, alike)
    assert len(read(folder).classes) == 3
    pair = " and ".join(map(repr, sorted({"oak", alike})))
    told = f"warning: the classes {pair} differ only in case or blanks: if they are one, give"
    assert told in capsys.readouterr().out


def test_listed_classes_that_may_be_one_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = {"oak/0.png": "oak", "oak/1.png": "Oak", "elm/0.png": "A", "elm/1.png": "a"}
    lines = [",".join(item) for item in labels.items()]
    (folder / "labels.csv").write_text("\n".join(["file,label", *lines]))
    found = lists.read(folder, lists.find(folder), size=16, crop=1, skip_bad=False)
    assert len(found.classes) == 4
    told = "warning: the classes 'A' and 'a', 'Oak' and 'oak' differ only in case"
    assert told in capsys.readouterr().out


def test_of_many_names_a_few_are_shown() -> None:
    assert user_files.some(list("abc")) == "a, b, c"
    assert user_files.some([str(each) for each in range(1000)]) == "0, 1, 2, 3, 4 and 995 more"
