"""Score the product as another runtime runs it on the test split, and against ONNX Runtime."""

from pathlib import Path

from slimline import files, params, stage
from slimline.artifacts import description
from slimline.data import split_files
from slimline.data.preprocessing import Preprocessing
from slimline.measure import accuracy, device_figures
from slimline.targets import device_runtimes


def main(model: Path, test: Path, product: Path, figures_path: Path) -> None:
    """Write the figures; `product` are the answers of the .onnx to the same images."""
    about, split = description.read(model), split_files.load(test)
    deployable = description.deployable(model)
    device_runtimes.RUNTIMES[deployable.target].require()
    logits = deployable.predict(
        split.images,
        Preprocessing.from_dict(about["preprocessing"]),
        num_threads=params.load_run().num_threads,
    )
    accuracy.require_numbers(logits, model)
    answers = accuracy.read_predictions(product)
    score = accuracy.score(logits, split.labels, answers)
    onnx_top1 = 100 * float((answers == split.labels).mean())
    figures = device_figures.to_dict(score, onnx_top1, deployable.inspect(), about)
    files.write_json(figures_path, figures)


if __name__ == "__main__":
    stage.run(main)
