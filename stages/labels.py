"""Bring the labels of the test split into git: predictions can be compared in any clone."""

from pathlib import Path

from slimline.core import cli, data, serialize
from slimline.measure import accuracy


def main(test: Path, labels: Path, classes: Path) -> None:
    """Write one class index per test image, in the order of the predictions, and the names."""
    split = data.load(test)
    serialize.write_text(labels, accuracy.format_predictions(split.labels))
    serialize.write_json(classes, {"classes": list(split.classes)})


if __name__ == "__main__":
    cli.run(main)
