"""Comparator: ONNX Runtime's dynamic quantization of the pruned model's linear layers."""

from pathlib import Path

from slimline import stage
from slimline.quantization import onnxruntime_quantizers


def main(source: Path, target: Path) -> None:
    """Write the model folder `target`."""
    onnxruntime_quantizers.save_dynamic(target, source)


if __name__ == "__main__":
    stage.run(main)
