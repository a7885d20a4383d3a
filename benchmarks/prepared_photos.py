"""Folders of photos as `prepare_data` prepares them; what other benchmarks measure with."""

from pathlib import Path
from typing import Literal

from slimline.data import resized_copies, split_files, splitting
from slimline.data.splitting import DataParams


def prepare(
    folder: Path,
    *,
    size: int,
    held_out: int,
    near_copies: Literal["report", "ignore"] = "ignore",
    store: Literal["original", "resized"] = "resized",
) -> None:
    """Split `folder/raw/photos`, class folders, into `folder/prepared`.

    Validation, calibration and test get `held_out` photos each; networks are to see them at `size`
    pixels.
    """
    settings = DataParams(
        seed=1,
        source="photos",
        image_size=size,
        crop=1.0,
        validation_images=held_out,
        calibration_images=held_out,
        test_images=held_out,
        store=store,
        on_bad_image="error",
        near_copies=near_copies,
    )
    parts = splitting.prepare(folder / "raw", settings, seed=1, scratch=folder)
    copies = resized_copies.of if store == "resized" else None
    for name, split in parts.items():
        split_files.save(folder / "prepared" / name, split, copies=copies)
