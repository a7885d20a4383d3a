"""Verify the raw images and make four disjoint splits of them."""

import tempfile
from pathlib import Path

from slimline import params, stage
from slimline.data import resized_copies, split_files, splitting
from slimline.repository import untracked


def main(raw: Path, target: Path) -> None:
    """Write `target/<split>/` for train, calibration, validation and test."""
    settings = params.load("data", splitting.DataParams)
    untracked.warn(raw / settings.source)
    with tempfile.TemporaryDirectory() as scratch:
        parts = splitting.prepare(raw, settings, seed=settings.seed, scratch=Path(scratch))
        copies = resized_copies.of if settings.store == "resized" else None
        for name, split in parts.items():
            split_files.save(target / name, split, copies=copies)
            print(f"{name}: {len(split)} images of {len(split.classes)} classes")


if __name__ == "__main__":
    stage.run(main)
