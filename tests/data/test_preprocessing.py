import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from slimline.data import preprocessing
from slimline.data.preprocessing import Preprocessing

GREY = Preprocessing(4, 4, 1, mean=(0.5,), std=(0.25,))
RGB = Preprocessing(4, 4, 3, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def test_normalise_is_channels_first_and_scaled() -> None:
    pixels = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    assert GREY.normalise(pixels).ravel().tolist() == [-2, 2]
    assert GREY.normalise(np.zeros((5, 3, 2, 1), np.uint8)).shape == (5, 1, 3, 2)


def test_grey_is_repeated_for_rgb_models() -> None:
    pixels = np.full((1, 2, 2, 1), 255, np.uint8)
    assert RGB.normalise(pixels).tolist() == np.ones((1, 3, 2, 2)).tolist()


def test_rgb_becomes_grey_as_pil_does_it() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 4, 4, 3), np.uint8)
    expected = np.asarray(Image.fromarray(pixels[0]).convert("L"))[np.newaxis, ..., np.newaxis]
    assert np.array_equal(GREY.normalise(pixels), GREY.normalise(expected))


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "RGBA", "CMYK", "1", "LA"])
def test_any_mode_and_size_becomes_pixels(mode: str) -> None:
    image = Image.new(mode, (11, 7))
    assert GREY.to_pixels(image).shape == (4, 4, 1)
    assert RGB.to_pixels(image).shape == (4, 4, 3)


def test_exif_orientation_is_followed() -> None:
    image = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4))
    image.getexif()[0x0112] = 3
    assert GREY.to_pixels(image).ravel().tolist() == list(range(15, -1, -1))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_as_pillow_has_it(orientation: int) -> None:
    image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    image.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(np.asarray(preprocessing.upright(image, 1)), expected)


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
EXIF = Image.Exif()
EXIF[0x0112] = 3
WITHOUT = Image.Exif()
WITHOUT[0x010E] = "a boot"


def png_with_xmp(path: Path, image: Image.Image, exif: bytes, *, is_late: bool) -> None:
    """Write a PNG with XMP before its pixels or after them, which Pillow does not write."""
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    image.save(path, pnginfo=text, exif=exif)
    if is_late:
        content = path.read_bytes()
        at = content.index(b"iTXt") - 4
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        last = content.index(b"IEND") - 4
        path.write_bytes(content[:at] + content[end:last] + content[at:end] + content[last:])


@pytest.mark.parametrize("exif", [None, WITHOUT, EXIF], ids=["no exif", "not in exif", "exif"])
@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.tif", "a.png", "late.png"])
def test_exif_alone_turns_whatever_xmp_says(
    name: str, exif: Image.Exif | None, tmp_path: Path
) -> None:
    path, image = tmp_path / name, Image.linear_gradient("L").resize((32, 64)).convert("RGB")
    if path.suffix == ".png":
        block = exif.tobytes() if exif else b""
        png_with_xmp(path, image, block, is_late=name == "late.png")
    elif path.suffix == ".tif":
        written = exif or Image.Exif()
        written[700] = XMP
        image.save(path, exif=written)
        del written[700]
    else:
        options = {"exif": exif} if exif else {}
        image.save(path, xmp=XMP, **options)
    with Image.open(path) as opened:
        found = np.asarray(preprocessing.upright(opened, 1)).astype(int)
    expected = image.convert("L")
    if exif is EXIF:
        expected = expected.transpose(Image.Transpose.ROTATE_180)
    assert found.shape == (64, 32)
    assert np.abs(found - np.asarray(expected)).max() < 12, "JPEG and WebP are nearly the same"


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 7)])
def test_any_shape_fills_the_frame(size: tuple[int, int]) -> None:
    frame = dataclasses.replace(RGB, crop=0.5)
    assert frame.to_pixels(Image.new("RGB", size)).shape == (4, 4, 3)


def test_a_file_may_not_be_larger_than_any_photo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (30, 20)).save(tmp_path / "a.png")
    monkeypatch.setattr(preprocessing, "MAX_PIXELS", 599)
    with (
        pytest.raises(ValueError, match="it has 30 x 20 pixels, and"),
        preprocessing.opened(tmp_path / "a.png"),
    ):
        pass


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    values = np.array([[0, 255, 256, 65535]] * 4, np.uint16)
    assert GREY.to_pixels(Image.fromarray(values))[0].ravel().tolist() == [0, 0, 1, 255]


def test_what_is_transparent_in_sixteen_bits_is_white_as_in_eight(tmp_path: Path) -> None:
    values = np.array([[0, 1000, 40000, 40001]] * 4, np.uint16)
    Image.fromarray(values).save(tmp_path / "16.png", transparency=40000)
    # Of 8 bits, 156 would be both.
    found = GREY.to_pixels(Image.open(tmp_path / "16.png"))
    assert found[0].ravel().tolist() == [0, 3, 255, 156]
    eight = Image.fromarray(np.array([[0, 3, 155, 156]] * 4, np.uint8))
    eight.save(tmp_path / "8.png", transparency=155)
    assert np.array_equal(GREY.to_pixels(Image.open(tmp_path / "8.png")), found)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode: str) -> None:
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 0)).convert(mode)
    if mode == "P":
        image.info["transparency"] = image.getpixel((0, 0))
    assert (RGB.to_pixels(image) == 255).all()


def test_cmyk_becomes_rgb_and_grey_as_the_page_for_other_languages_says() -> None:
    bands = np.random.default_rng(0).integers(0, 256, (64, 64, 4), np.uint8)
    image = Image.fromarray(bands, "CMYK")
    n = 255 - bands[..., 3:].astype(np.int64)
    t = bands[..., :3] * n + 128
    rgb = n - (((t >> 8) + t) >> 8)
    assert np.array_equal(np.asarray(preprocessing.upright(image, 3)), rgb)
    grey = preprocessing.match_channels(rgb.astype(np.uint8), 1)[..., 0]
    assert np.array_equal(np.asarray(preprocessing.upright(image, 1)), grey)


def test_floats_have_no_range() -> None:
    with pytest.raises(ValueError, match="floats"):
        GREY.to_pixels(Image.new("F", (4, 4)))


def test_a_crop_cuts_the_border_off() -> None:
    pixels = np.zeros((8, 8), np.uint8)
    pixels[2:6, 2:6] = 255
    assert (dataclasses.replace(GREY, crop=0.5).to_pixels(Image.fromarray(pixels)) == 255).all()
    assert not (GREY.to_pixels(Image.fromarray(pixels)) == 255).all()


def test_json_round_trip() -> None:
    assert Preprocessing.from_dict(RGB.to_dict()) == RGB


def large_jpeg(path: Path, size: tuple[int, int] = (1600, 1200), orientation: int = 1) -> Path:
    """Write a JPEG with detail at every scale."""
    generator = np.random.default_rng(0)
    coarse = Image.fromarray(generator.integers(0, 256, (12, 16, 3), np.uint8))
    pixels = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(np.int64)
    pixels = (pixels + generator.integers(-20, 21, pixels.shape)).clip(0, 255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels.astype(np.uint8)).save(path, quality=90, exif=exif)
    return path


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(("size", "crop"), [(64, 1.0), (96, 0.875), (500, 1.0)])
def test_a_jpeg_decoded_small_looks_as_the_whole_one(
    tmp_path: Path, size: int, crop: float, orientation: int
) -> None:
    path = large_jpeg(tmp_path / "a.jpg", orientation=orientation)
    frame = Preprocessing(size, size, 3, mean=(), std=(), crop=crop)
    whole, small = (
        dataclasses.replace(frame, draft=draft).to_pixels(Image.open(path)).astype(np.int64)
        for draft in (False, True)
    )
    assert np.abs(whole - small).max() <= 3
    assert (whole != small).any() == (size < 500), "there is no scale at which 500 px fit twice"


@pytest.mark.parametrize(
    ("least", "expected"), [(100, 1 / 8), (160, 1 / 4), (600, 1 / 2), (601, 1)]
)
def test_what_is_left_of_a_jpeg_is_never_too_small(
    tmp_path: Path, least: int, expected: float
) -> None:
    with Image.open(large_jpeg(tmp_path / "a.jpg")) as image:
        preprocessing.decode_small(image, least)
        assert preprocessing.upright(image, 3).size == (1600 * expected, 1200 * expected)


def test_no_other_format_is_decoded_small(tmp_path: Path) -> None:
    Image.open(large_jpeg(tmp_path / "a.jpg")).save(tmp_path / "a.png")
    frames = [dataclasses.replace(RGB, draft=draft) for draft in (False, True)]
    whole, small = (frame.to_pixels(Image.open(tmp_path / "a.png")) for frame in frames)
    assert np.array_equal(whole, small)


def test_a_model_from_before_decodes_as_it_was_trained() -> None:
    assert "draft" not in RGB.to_dict()
    drafting = dataclasses.replace(RGB, draft=True)
    assert Preprocessing.from_dict(drafting.to_dict()) == drafting
    assert RGB.steps == list(preprocessing.STEPS)
    assert "JPEG" in drafting.steps[0]
    assert drafting.steps[1:] == RGB.steps[1:]
