"""Comparator: the pruned model in float16, by ONNX Runtime's converter."""

from pathlib import Path

from slimline import params, stage
from slimline.data import split_files
from slimline.quantization import onnxruntime_quantizers


def main(source: Path, validation: Path, target: Path) -> None:
    """Write the model folder `target`, with its accuracy on validation."""
    onnxruntime_quantizers.save_float16(
        target,
        source,
        split_files.load(validation),
        num_threads=params.load_run().num_threads,
    )


if __name__ == "__main__":
    stage.run(main)
