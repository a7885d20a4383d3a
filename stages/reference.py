"""Bring into git what all models are compared with: the test labels and the baseline's answers."""

from pathlib import Path

from slimline import files, params, stage
from slimline.artifacts import description
from slimline.data import split_files
from slimline.measure import accuracy


def main(baseline: Path, test: Path, labels: Path, answers: Path, about: Path) -> None:
    """Write one class index per test image, of its label and of the baseline's answer.

    `about` gets the names of the classes, and the hash by which other test images are noticed.
    """
    deployable, split = description.deployable(baseline), split_files.load(test)
    frame = description.frame(baseline)
    num_threads = params.load_run().num_threads
    logits = deployable.predict(split.images, frame, num_threads=num_threads)
    files.write_text(labels, accuracy.format_predictions(split.labels))
    files.write_text(answers, accuracy.format_predictions(logits.argmax(1)))
    files.write_json(about, {"classes": list(split.classes), "sha256": split.digest})


if __name__ == "__main__":
    stage.run(main)
