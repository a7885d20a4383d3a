"""Verify the raw images and make four disjoint splits of them."""

import tempfile
from pathlib import Path

from slimline.core import cli, data, datasets, params


def main(raw: Path, target: Path) -> None:
    """Write `target/<split>/` for train, calibration, validation and test."""
    settings = params.load("data", datasets.DataParams)
    run = params.load_run()
    with tempfile.TemporaryDirectory() as scratch:
        splits = datasets.prepare(raw, settings, seed=run.seed, scratch=Path(scratch))
        for name, split in splits.items():
            data.save(target / name, split)
            print(f"{name}: {len(split)} images of {len(split.classes)} classes")


if __name__ == "__main__":
    cli.run(main)
