"""Score one deployable model on the test split; the figures are deterministic."""

from pathlib import Path

from slimline.core import cli, data, description, params, serialize
from slimline.core.preprocessing import Preprocessing
from slimline.measure import accuracy, figures, newly_wrong, onnx_file, session


def main(
    model: Path,
    test: Path,
    reference: Path,
    figures_path: Path,
    predictions: Path,
    newly_wrong_path: Path,
) -> None:
    """Write the figures, one predicted class per test image, and images newly answered wrong.

    `reference` is the file of predictions to compare with, or, for the reference itself, `model`.
    """
    path = description.onnx_path(model)
    split = data.load(test)
    frame = Preprocessing.from_dict(description.read(model)["preprocessing"])
    runtime = session.load(path, num_threads=params.load_run().num_threads)
    logits = session.predict(runtime, split.images, frame)
    answers = logits.argmax(1)
    expected = answers if reference == model else accuracy.read_predictions(reference)
    score = accuracy.score(logits, split.labels, expected)
    serialize.write_text(predictions, accuracy.format_predictions(answers))
    mistakes = newly_wrong.find(split, logits, expected)
    serialize.write_json(newly_wrong_path, newly_wrong.to_dict(mistakes))
    serialize.write_json(figures_path, figures.deterministic(score, onnx_file.inspect(path)))


if __name__ == "__main__":
    cli.run(main)
