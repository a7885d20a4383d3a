"""Comparator: ONNX Runtime's static post-training quantization of the pruned model."""

from pathlib import Path

from slimline.core import cli, data, params
from slimline.quantization import comparators
from slimline.quantization.settings import Int8PtqParams


def main(source: Path, calibration: Path, target: Path) -> None:
    """Write the model folder `target`."""
    settings = params.load("int8_ptq", Int8PtqParams)
    comparators.save_static(target, source, data.load(calibration), settings)


if __name__ == "__main__":
    cli.run(main)
