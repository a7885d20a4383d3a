"""From an image file to the numbers that a model sees; the same everywhere, and free of torch.

`opened`, `upright`, `to_pixels` and `normalise` are what validation, evaluate, benchmark, predict
and a deployment do. Random augmentation for training lives in `slimline.training.augmentation`.
"""

import struct
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

STEPS = (
    "decode the first frame",
    "turn upright by EXIF",
    "scale 16 bits to 8 by dropping the lower 8",
    "put what is transparent on white",
    "convert to grey (ITU-R 601-2) or RGB",
    "cut the centre: `crop` of height and width, then the aspect of the frame",
    "resize to height x width, bilinear with antialiasing (Pillow's ImageOps.fit)",
    "divide by 255, subtract mean, divide by std, per channel",
)
"""What is done to an image, in order, for whoever repeats it elsewhere; kept in `model.json`."""

_DRAFT_STEP = (
    "decode the first frame; a JPEG at the smallest of 1/8, 1/4, 1/2 and 1 of its size (libjpeg's "
    "DCT scaling) at which neither side is below 2 / crop times the longer side of the frame"
)
"""The first step where `Preprocessing.draft` is on."""

_DRAFT_MARGIN = 2
"""What is left of a JPEG is at least so many times the frame: resizing then averages all pixels, as
it would those of the whole."""

DARK_BELOW = 2**12
"""A file of 16 bits in which no value reaches this is nearly black once it has 8."""

MAX_PIXELS = 256 * 10**6
"""Of one image. Phones take 200 megapixels and cameras 150; 256 take two gigabytes of RAM. What is
larger is a scan or a panorama, which no classifier sees at one glance."""

# Pillow's own limit warns from 89 megapixels on; whether a warning is seen, printed or an error is
# up to filters that all threads share. `opened` judges instead, and Pillow refuses twice as many.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS

_WHITE, _WHITE_OF_16_BITS = (255, 255, 255, 255), 2**16 - 1

_ORIENTATION, _SHORT = int(ExifTags.Base.Orientation), 3
"""An entry of EXIF, and the type of its value."""

_XMP = ("xmp", "XML:com.adobe.xmp")
"""What Pillow's releases call it."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What EXIF's Orientation asks for."""


@dataclass(frozen=True)
class Preprocessing:
    """Deterministic preprocessing of one image; written into `model.json` so that it travels."""

    height: int
    width: int
    channels: int
    """1 for grey, 3 for RGB."""
    mean: tuple[float, ...]
    """Per channel, of pixels scaled to 0..1."""
    std: tuple[float, ...]
    crop: float = 1.0
    """Share of an image's height and width that is looked at, around its centre."""
    draft: bool = False
    """Whether a JPEG is decoded no larger than it takes, several times as fast."""

    @property
    def least(self) -> int:
        """What both sides of a JPEG keep where it is decoded as small as it takes, pixels."""
        return round(_DRAFT_MARGIN * max(self.height, self.width) / self.crop)

    @property
    def steps(self) -> list[str]:
        """What is done to an image, in order."""
        return [_DRAFT_STEP, *STEPS[1:]] if self.draft else list(STEPS)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types; `draft` if it is on, since older models have none."""
        fields = asdict(self)
        if not self.draft:
            del fields["draft"]
        return {
            key: list(item) if isinstance(item, tuple) else item for key, item in fields.items()
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Preprocessing":
        """Return the object that `to_dict` described; other keys are for people."""
        own = {key: fields[key] for key in cls.__dataclass_fields__ if key in fields}
        return cls(**own | {"mean": tuple(fields["mean"]), "std": tuple(fields["std"])})

    def to_pixels(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return uint8 [height, width, channels]: upright, filling the frame, cut at the centre."""
        if self.draft:
            decode_small(image, self.least)
        image = upright(image, self.channels)
        if image.size != (self.width, self.height) or self.crop < 1:
            image = ImageOps.fit(
                image,
                (self.width, self.height),
                Image.Resampling.BILINEAR,
                bleed=(1 - self.crop) / 2,
            )
        return to_array(image)

    def normalise(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return float32 [batch, channels, height, width] of uint8 [batch, height, width, any].

        A set of other channels is adapted: grey is repeated, RGB is weighted as PIL's `L` does.
        """
        scaled = match_channels(pixels, self.channels).astype(np.float32) / np.float32(255)
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        return np.ascontiguousarray(((scaled - mean) / std).transpose(0, 3, 1, 2))


@contextmanager
def opened(source: Path | BytesIO) -> Iterator[Image.Image]:
    """Open an image file or its content, its size looked at before anything is decoded.

    Raises:
        ValueError: it is larger than any photo.
        Exception: whatever Pillow raises of a damaged file, for which it has no common class.
    """
    most = f"{MAX_PIXELS // 10**6} megapixels are the most: make it smaller"
    try:
        with Image.open(source) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"it has {width} x {height} pixels, and {most}")
            yield image
    except Image.DecompressionBombError:
        raise ValueError(f"it has far more pixels than any photo, and {most}") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what Pillow warns of to ourselves: odd metadata, and sizes that `opened` judges.

    Filters belong to the whole process: this goes around all threads that decode, never into one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


@contextmanager
def decoders(count: int) -> Iterator[ThreadPoolExecutor]:
    """Give so many threads that decode; their number changes no result."""
    if count > 1:
        # Left to themselves, threads race for it, and who is late knows too few formats.
        Image.init()
    with quiet(), ThreadPoolExecutor(count) as threads:
        yield threads


def reason(error: Exception) -> str:
    """Return what an exception of Pillow says, in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def decode_small(image: Image.Image, least: int) -> None:
    """Let an opened JPEG be decoded at 1/8, 1/4 or 1/2 if both its sides stay `least` pixels.

    Nothing happens to other files, nor to what is decoded already.
    """
    image.draft(None, (least, least))


def upright(image: Image.Image, channels: int) -> Image.Image:
    """Return an image of 8 bits as a person sees it, grey for 1 channel or RGB for 3.

    Raises:
        ValueError: the pixels have no known range.
        OSError: the file is damaged.
    """
    image = _to_8_bits(_turned(image))
    if _may_be_transparent(image):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, _WHITE), image)
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)


def to_array(image: Image.Image) -> NDArray[np.uint8]:
    """Return uint8 [height, width, channels] of a grey or RGB image."""
    pixels = np.array(image, dtype=np.uint8)  # a copy, since torch wants arrays that may be written
    return pixels.reshape(image.height, image.width, -1)


def is_grey(image: Image.Image) -> bool:
    """Return whether a file has no colour by its mode, whatever its pixels are."""
    return image.mode in {"1", "L", "LA", "I"} or image.mode.startswith("I;16")


def highest_of_16_bits(image: Image.Image) -> int | None:
    """Return the highest value in the pixels of a file of 16 bits; nothing for other files.

    Of colours Pillow keeps the upper 8 bits alone; the lower ones then count as ones.
    """
    if not _has_16_bits(image):
        return None
    if is_grey(image):
        return int(np.asarray(image).max(initial=0))
    bands = np.asarray(image.convert("RGB"))
    return (int(bands.max(initial=0)) << 8) + 255


def told_of_dark(image: Image.Image) -> str:
    """Return what to say of a file of 16 bits that holds 12 or fewer; empty: nothing."""
    highest = highest_of_16_bits(image)
    # What is all black is so at any depth.
    if not highest or highest >= DARK_BELOW:
        return ""
    factor = 2 ** (16 - max(8, highest.bit_length()))
    return (
        f"has 16 bits and no value above {highest} of 65535, nearly black to the model: if it "
        f"should not be, multiply its values by {factor} and save it again"
    )


def _has_16_bits(image: Image.Image) -> bool:
    """Return whether a file that is not yet decoded has 16 bits for each channel."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        return True
    layouts = [str(tile[3]) for tile in getattr(image, "tile", [])]
    # BGR;16 packs three channels into 16 bits.
    return any(";16" in layout and "BGR;16" not in layout for layout in layouts)


def _turned(image: Image.Image) -> Image.Image:
    """Return an image as its EXIF says it is held.

    Pillow's own `ImageOps.exif_transpose` writes the whole EXIF block anew, and fails if any entry
    is malformed; only one number of it is of use here.
    """
    _forget_xmp(image)
    image.load()
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """Return EXIF's Orientation, 1 if there is none."""
    try:
        found = _exif(image).get(_ORIENTATION)
    # Broken EXIF raises whatever its parser stumbles over; the pixels are sound all the same.
    except Exception:
        found = None
    if found is None:
        found = _first_orientation(image.info.get("exif", b""))
    return found if isinstance(found, int) else 1


def _forget_xmp(image: Image.Image) -> None:
    """Keep Pillow from turning by XMP what EXIF does not, as browsers leave it.

    It does so with a TIFF while that is decoded, and by `getexif` with any file.
    """
    for key in _XMP:
        image.info.pop(key, None)


def _exif(image: Image.Image) -> Image.Exif:
    """Return the EXIF of a decoded image, nothing of its XMP."""
    if "exif" in image.info:
        # Read anew: the Exif that Pillow keeps may have asked XMP when the file was opened.
        found = Image.Exif()
        found.load(image.info["exif"])
        return found
    _forget_xmp(image)  # A PNG may have it after its pixels.
    return image.getexif()


def _first_orientation(exif: bytes) -> int | None:
    """Return the Orientation of an EXIF block in which an entry before it is broken.

    Pillow reads no further than the first broken one.
    """
    block = exif.removeprefix(b"Exif\0\0")
    order = "<" if block.startswith(b"II") else ">"
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, start)
        for at in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", block, at)
            if (tag, kind) == (_ORIENTATION, _SHORT):
                return int(value)
    except struct.error:
        pass
    return None


def _to_8_bits(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are floats, of no known range")
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() >= 2**16:
            raise ValueError("its pixels have more than 16 bits")
        clear = image.info.get("transparency")
        if isinstance(clear, int):
            values = np.where(values == clear, _WHITE_OF_16_BITS, values)
        return Image.fromarray((values >> 8).astype(np.uint8))
    return image


def _may_be_transparent(image: Image.Image) -> bool:
    """Return what Pillow says by `has_transparency_data`, which it has from 10.1 on only."""
    if image.mode in {"LA", "La", "PA", "RGBA", "RGBa"} or "transparency" in image.info:
        return True
    return image.palette is not None and image.mode == "P" and image.palette.mode.endswith("A")


def match_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """Return uint8 [..., channels] of uint8 [..., 1 or 3]; RGB is weighted as Pillow's `L` does."""
    given = pixels.shape[-1]
    if given == channels:
        return pixels
    assert {given, channels} == {1, 3}, f"cannot make {channels} channels of {given}"
    if given == 1:
        return pixels.repeat(3, axis=-1)
    grey = pixels.astype(np.uint32) @ np.array([[19595], [38470], [7471]], np.uint32)
    return ((grey + 0x8000) >> 16).astype(np.uint8)
