"""Let the control of pruning answer the test split, if it was trained."""

from pathlib import Path

from slimline import files, params, stage
from slimline.artifacts import description
from slimline.data import split_files
from slimline.data.preprocessing import Preprocessing
from slimline.measure import accuracy


def main(model: Path, test: Path, predictions: Path) -> None:
    """Write one predicted class per test image; nothing where there is no model."""
    if not (model / description.ONNX).is_file():
        files.write_text(predictions, "")
        return
    frame = Preprocessing.from_dict(description.read(model)["preprocessing"])
    logits = description.deployable(model).predict(
        split_files.load(test).images, frame, num_threads=params.load_run().num_threads
    )
    files.write_text(predictions, accuracy.format_predictions(logits.argmax(1)))


if __name__ == "__main__":
    stage.run(main)
