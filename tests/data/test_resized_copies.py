from collections.abc import Callable
from pathlib import Path

import cuts
import numpy as np
import pytest
import torch
import toy
from PIL import ExifTags, Image

from slimline.data import resized_copies, split_files, splitting
from slimline.data.packed_files import PackedFiles
from slimline.data.split_files import ImageFiles, Split
from slimline.training import loader, loop
from slimline.training.augmentation import Augment

_LARGE, _SMALL = (700, 520), (60, 50)
_SIZE = 32
AUGMENT = Augment(crop=0.35, flip=True, shift=0, color=0, randaugment=0, mixup=0, cutmix=0)


def noise(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """A picture that no format can make small, with a corner by which one sees how it lies."""
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (size[1], size[0], 3), np.uint8)
    pixels[: size[1] // 3, : size[0] // 3] = (250, 30, seed)
    return Image.fromarray(pixels)


def _turned(path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    noise(_LARGE, 2).save(path, quality=95, exif=exif)


KINDS: dict[str, Callable[[Path], None]] = {
    "plain.jpg": lambda path: noise(_LARGE, 1).save(path, quality=95),
    "turned.jpg": _turned,
    "grey.jpg": lambda path: noise(_LARGE, 3).convert("L").save(path, quality=95),
    "four.jpg": lambda path: noise(_LARGE, 4).convert("CMYK").save(path, quality=95),
    "by steps.jpg": lambda path: noise(_LARGE, 5).save(path, quality=95, progressive=True),
    "tall.jpg": lambda path: noise((90, 2000), 6).save(path, quality=95),
    "whole.png": lambda path: noise(_LARGE, 7).save(path),
    "small.jpg": lambda path: noise(_SMALL, 8).save(path, quality=95),
    "flat.jpg": lambda path: Image.new("RGB", _LARGE, (9, 90, 200)).save(path, quality=75),
}
"""The last four have no copy: a side would be too short, no JPEG, too few pixels or bytes."""

_COPIED = 5


@pytest.fixture(params=[1.0, 0.875], ids=["whole", "cut"])
def saved(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Split, Split]:
    """The training split of all kinds, stored as it is and resized."""
    monkeypatch.setattr(resized_copies, "_AT_ONCE", 4)
    for label in ("boot", "sandal"):
        folder = tmp_path / "raw/set" / label
        folder.mkdir(parents=True)
        for number in range(8):
            noise((40, 40), 100 + 10 * number + len(label)).save(folder / f"{number}.png")
    for name, save in KINDS.items():
        save(tmp_path / "raw/set/boot" / name)
    changes = {"source": "set", "image_size": _SIZE, "crop": request.param}
    counts = {"validation_images": 2, "calibration_images": 2, "test_images": 2}
    settings = toy.DATA.model_copy(update=changes | counts)
    split = splitting.prepare(tmp_path / "raw", settings, seed=1, scratch=tmp_path)["train"]
    split_files.save(tmp_path / "original", split)
    split_files.save(tmp_path / "resized", split, copies=resized_copies.of)
    return split_files.load(tmp_path / "original"), split_files.load(tmp_path / "resized")


def batches(split: Split) -> list[torch.Tensor]:
    recipe = cuts.RECOVER.model_copy(update={"augment": AUGMENT, "epochs": 1, "batch_size": 8})
    made = loader.training_batches(split, split.preprocessing, recipe, seed=1)
    return [images for images, _ in made]


def packed(split: Split) -> PackedFiles:
    assert isinstance(split.images, ImageFiles)
    assert isinstance(split.images.files, PackedFiles)
    return split.images.files


def test_evaluation_sees_the_same_pixels_of_fewer_bytes(saved: tuple[Split, Split]) -> None:
    original, resized = saved
    assert np.array_equal(original.images[:], resized.images[:])
    assert np.array_equal(original.labels, resized.labels)
    assert original.digest == resized.digest
    copied = 0
    for one, other in zip(packed(original).members(), packed(resized).members(), strict=True):
        assert (one.name, one.sha256) == (other.name, other.sha256)
        if other.suffix == ".ppm":
            copied += 1
            assert len(other.content) < len(one.content)
        else:
            assert other == one
    names = [Path(each.name).name for each in packed(original).members()]
    assert copied == sum(name in list(KINDS)[:_COPIED] for name in names) >= 3


def test_training_cuts_out_of_the_same_pixels(saved: tuple[Split, Split]) -> None:
    original, resized = (each.images for each in saved)
    assert isinstance(original, ImageFiles)
    assert isinstance(resized, ImageFiles)
    for one, other in zip(*(batches(split) for split in saved), strict=True):
        assert torch.equal(one, other)


def test_a_training_does_not_go_on_with_the_others(saved: tuple[Split, Split]) -> None:
    """Smaller cuts than those above are not of the same pixels."""
    network = torch.nn.Linear(1, 1)
    keys = [
        loop._decided_by(
            network, split, split, cuts.RECOVER, split.preprocessing, 1, "", None, None, ()
        )
        for split in saved
    ]
    assert keys[0] != keys[1]
