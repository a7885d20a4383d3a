"""400 damaged files of each of 20 formats: each is used or named, by training and `predict`."""

import io
from pathlib import Path

import numpy as np
import pytest
import small_photos
from PIL import Image

from slimline import predict
from slimline.data import file_check, folders, preprocessing, resized_copies
from slimline.data.file_check import Bad, UserFile
from slimline.data.packed_files import Member
from slimline.data.preprocessing import Preprocessing
from slimline.errors import DataError

FORMATS = {
    "AVIF": "RGB", "BMP": "RGB", "DDS": "RGBA", "GIF": "P", "DIB": "RGB", "ICO": "RGBA",
    "IM": "RGB", "JPEG": "RGB", "JPEG2000": "RGB", "MPO": "RGB", "MSP": "1", "PCX": "RGB",
    "PNG": "RGB", "PPM": "RGB", "SGI": "RGB", "SPIDER": "F", "TGA": "RGB", "TIFF": "RGB",
    "WEBP": "RGB", "XBM": "1",
}  # fmt: skip
COUNT = 400
FRAME = Preprocessing(16, 16, 3, mean=(0.5,) * 3, std=(0.5,) * 3, draft=True)


def damaged(kind: str, seed: int) -> bytes:
    """Return a file of which one to eight bytes are others, or which ends early."""
    generator = np.random.default_rng([seed, *kind.encode()])
    content = bytearray(sound(kind))
    # Half of the flips hit the first bytes, where headers are.
    ends = (len(content), min(len(content), 200))
    for _ in range(generator.integers(1, 9)):
        content[generator.integers(ends[generator.integers(2)])] ^= int(generator.integers(1, 256))
    if generator.random() < 0.2:
        del content[generator.integers(len(content)) :]
    return bytes(content)


def sound(kind: str) -> bytes:
    # JPEGs large enough to be decoded at half their size, and to be stored so.
    size = (96, 128) if kind in {"JPEG", "MPO"} else (24, 32)
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    image = Image.fromarray(pixels).convert("L" if FORMATS[kind] == "F" else "RGB")
    file = io.BytesIO()
    image.convert(FORMATS[kind]).save(file, kind)
    return file.getvalue()


def stored(content: bytes) -> bytes:
    """Return what `prepare_data` packs of a file that it uses."""
    (member,) = resized_copies.of([Member(content, "oak 1", "", ".jpeg")], FRAME)
    return member.content


def refusal(path: Path) -> str | None:
    """Return what `predict` says of a file that it does not read."""
    try:
        pixels = predict._read(path, FRAME)
    except DataError as error:
        return str(error)
    assert pixels.shape == (16, 16, 3)
    return None


@pytest.mark.filterwarnings("ignore:IM image format:DeprecationWarning")
def test_there_are_twenty_formats() -> None:
    assert len(FORMATS) == 20
    for kind in FORMATS:
        with Image.open(io.BytesIO(sound(kind))) as image:
            assert image.convert("RGB").getextrema() != ((0, 0),) * 3


@pytest.mark.filterwarnings("ignore:IM image format:DeprecationWarning")
@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_no_exception_escapes_and_each_refused_file_is_named(kind: str, tmp_path: Path) -> None:
    used = refused = copies = 0
    with preprocessing.quiet():
        for seed in range(COUNT):
            path = tmp_path / f"{seed}.{kind.lower()}"
            path.write_bytes(damaged(kind, seed))
            found = file_check._check(UserFile(path, "train", "oak", path.name), looks=True)
            told = refusal(path)
            if isinstance(found, Bad):
                refused += 1
                assert found.name == path.name
                assert found.reason
            else:
                used += 1
                assert told is None, "what is trained on can be predicted"
                copies += stored(path.read_bytes()) != path.read_bytes()
            assert told is None or told.startswith(f"{path}: ")
    assert used + refused == COUNT
    assert refused, "some damage must be found"
    assert (copies > 0) == (kind in {"JPEG", "MPO"})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF"])
def test_a_set_of_damaged_files_is_read_without_them(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_photos.fill(tmp_path / "set", "oak", "elm")
    for seed in range(COUNT):
        (folder / "oak" / f"bad {seed}.{kind.lower()}").write_bytes(damaged(kind, seed))
    found = folders.read(folder, size=16, crop=1, skip_bad=True, looks=True)
    assert len(found.train) >= 4
    assert "files cannot be used" in capsys.readouterr().out
