"""Score one deployable model on the test split; the figures are deterministic."""

from pathlib import Path

from slimline import files, params, stage
from slimline.artifacts import description, model_interface
from slimline.data import split_files
from slimline.measure import accuracy, evaluate_figures, newly_wrong, recall_table
from slimline.targets.onnxruntime import pixel_file


def main(
    model: Path,
    test: Path,
    reference: Path,
    figures_path: Path,
    predictions: Path,
    newly_wrong_path: Path,
    recalls: Path,
) -> None:
    """Write figures, a predicted class per test image, images newly wrong, and each class's recall.

    `reference` are the baseline's answers, which all models are compared with, itself included.
    """
    deployable, split = description.deployable(model), split_files.load(test)
    expected = accuracy.read_predictions(reference)
    about, interface = description.read(model), model_interface.read(model)
    num_threads = params.load_run().num_threads
    given = deployable.predict(split.images, interface.frame, num_threads=num_threads)
    logits = interface.to_logits(given)
    accuracy.require_numbers(logits, model)
    score = accuracy.score(logits, split.labels, expected)
    answers = logits.argmax(1)
    files.write_text(predictions, accuracy.format_predictions(answers))
    recall_table.write(recalls, answers, split.labels, split.classes)
    mistakes = newly_wrong.find(split, logits, expected)
    files.write_json(newly_wrong_path, newly_wrong.to_dict(mistakes))
    figures = evaluate_figures.to_dict(
        score, pixel_file.inspect(deployable.path), about.get(description.VALIDATION_TOP1)
    )
    files.write_json(figures_path, figures)


if __name__ == "__main__":
    stage.run(main)
