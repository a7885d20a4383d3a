"""Classify image files with a model of the pipeline or a packaged one, without torch.

  python -m slimline predict models/int8_export photo.jpg another.png --top 3

prints one line per file and answer: file, class, and how likely the model thinks it is, separated
by tabs. Of a folder it takes all image files, at any depth, without hidden ones; stderr says how
many files are left out.

  python -m slimline predict models/int8_export photos --json

prints a JSON object per file instead: {"file": ..., "answers": [{"label": ..., "share": ...}]},
shares from 0 to 1.

Exit codes: 0 all files are answered; 1 some are not, each with its reason on stderr; 2 none was
tried, since the model or an argument is wrong.

It needs numpy, Pillow and onnxruntime, nothing else. The oldest that it was tried with: Python
3.10, numpy 1.21.2, Pillow 9.3 and onnxruntime 1.12; `oldest_onnxruntime` in model.json says what
the model itself needs.
"""

import json
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from slimline.predict import Prediction

T = TypeVar("T")

_MANY = 100
"""Files from which on progress is told."""

_SECONDS = 5.0
"""Between two lines on progress."""

_DIGITS = 6
"""Of a share in JSON; what is behind them differs between CPUs."""


_PACKAGES = {"numpy": "numpy", "PIL": "Pillow"}
"""What pip installs, by the module that it is imported as."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "model", metavar="MODEL", type=Path, help="a folder with model.onnx and model.json"
    )
    parser.add_argument(
        "images", metavar="IMAGE", type=_path, nargs="+", help="an image file, or a folder of them"
    )
    parser.add_argument(
        "--top", metavar="K", type=_count, default=1, help="answers for each file (default: 1)"
    )
    parser.add_argument(
        "--runtime",
        choices=["onnxruntime", "openvino"],
        default="onnxruntime",
        help="what runs the model; OpenVINO must be installed (default: onnxruntime)",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object per file")


def run(arguments: Namespace) -> int:
    """Print the answers."""
    _require_packages()
    from slimline.errors import DataError
    from slimline.predict import load, predict

    model = load(arguments.model, runtime=arguments.runtime)
    images, num_mistakes = _find(arguments.images)
    print_answers = _print_json if arguments.json else _print_text
    predictions = predict(model, images, top=arguments.top)
    for path, answers in zip(images, _with_progress(predictions, len(images)), strict=True):
        if isinstance(answers, DataError):
            _tell(answers)
            num_mistakes += 1
        else:
            print_answers(path, answers)
    return 1 if num_mistakes else 0


def _require_packages() -> None:
    """Refuse to go on without what reads images.

    Raises:
        TargetError: a package is not installed.
    """
    from slimline.errors import TargetError

    missing = [package for module, package in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise TargetError(
            f"predict: {' and '.join(missing)} must be installed: `python -m pip install "
            f"{' '.join(missing)}`"
        )


def _find(given: Sequence[Path]) -> tuple[list[Path], int]:
    """Return the image files that are meant, and how many folders have none."""
    from slimline.data import image_search

    images, num_empty = [], 0
    for path in given:
        if not path.is_dir():
            images.append(path)
            continue
        found = image_search.search(path)
        images += found.images
        if found.left_out:
            _tell(f"{path}: left out {_kinds(found.left_out)}")
        if not found.images:
            _tell(f"{path}: has no file that is an image by its name")
            num_empty += 1
    return images, num_empty


def _kinds(paths: Iterable[Path]) -> str:
    """Return how many there are of what, as `3: 2 hidden, 1 .txt`."""
    kinds = Counter(map(_kind, paths))
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return f"{kinds.total()}: {told}"


def _kind(path: Path) -> str:
    if path.name.startswith("."):
        return "hidden"
    if path.is_dir():
        return "linked folder" if path.is_symlink() else "system folder"
    return path.suffix.lower() or "without suffix"


def _with_progress(answers: Iterable[T], total: int) -> Iterator[T]:
    """Say on stderr now and then how far it is, if there is much to do."""
    told = time.monotonic()
    for done, each in enumerate(answers):
        if total >= _MANY and time.monotonic() >= told + _SECONDS:
            told = time.monotonic()
            _tell(f"{done} of {total} files")
        yield each


def _print_text(path: Path, answers: "Sequence[Prediction]") -> None:
    for answer in answers:
        cells = _shown(str(path)), _shown(answer.label), f"{100 * answer.share:.1f} %"
        print("\t".join(cells), flush=True)


def _print_json(path: Path, answers: "Sequence[Prediction]") -> None:
    listed = [{"label": each.label, "share": round(each.share, _DIGITS)} for each in answers]
    print(json.dumps({"file": str(path), "answers": listed}), flush=True)


def _tell(message: object) -> None:
    print(_printable(str(message)), file=sys.stderr)


def _shown(text: str) -> str:
    """Return text that stays on its line and in its column, and that stdout can encode."""
    encoding = sys.stdout.encoding or "utf-8"
    return _printable(text).encode(encoding, "backslashreplace").decode(encoding)


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _path(text: str) -> Path:
    # Path("") is the current folder, which an unset variable does not mean.
    if not text:
        raise ArgumentTypeError("names no file: the text is empty")
    return Path(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"must be a number from 1 up, not {text!r}")
    return int(text)
