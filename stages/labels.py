"""Bring the labels of the test split into git: predictions can be compared in any clone."""

from pathlib import Path

from slimline.core import cli, data, serialize
from slimline.measure import accuracy


def main(test: Path, labels: Path, about: Path) -> None:
    """Write one class index per test image, in the order of the predictions.

    `about` gets the names of the classes, and the hash by which other test images are noticed.
    """
    split = data.load(test)
    serialize.write_text(labels, accuracy.format_predictions(split.labels))
    serialize.write_json(about, {"classes": list(split.classes), "sha256": split.digest})


if __name__ == "__main__":
    cli.run(main)
