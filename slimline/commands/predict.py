"""Classify image files with a model of the pipeline or a packaged one, without torch.

  python -m slimline predict models/int8_export photo.jpg another.png --top 3

prints one line per file and answer: file, class, and how likely the model thinks it is, separated
by tabs. It needs numpy, Pillow and onnxruntime, nothing else.
"""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("model", metavar="MODEL", type=Path, help="a folder with model.onnx")
    parser.add_argument("images", metavar="IMAGE", type=Path, nargs="+", help="an image file")
    parser.add_argument(
        "--top", metavar="K", type=_count, default=1, help="answers for each file (default: 1)"
    )


def run(arguments: Namespace) -> int:
    """Print the answers."""
    from slimline.predict import predict

    answers = predict(arguments.model, arguments.images, top=arguments.top)
    for path, best in zip(arguments.images, answers, strict=True):
        for answer in best:
            print(f"{path}\t{answer.label}\t{100 * answer.share:.1f} %")
    return 0


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"must be a number from 1 up, not {text!r}")
    return int(text)
