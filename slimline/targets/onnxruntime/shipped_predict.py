"""Classify image files with the model beside this file; numpy, Pillow and onnxruntime suffice.

    python predict.py photo.jpg another.png

prints a line per file: file, class, and how likely the model thinks it is, separated by tabs. Exit
code 1 if a file cannot be read, 2 if the model cannot, which is told on stderr. `prepare` and
`classify` are for your own program.
"""

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from slimline.data.preprocessing import Preprocessing, opened, quiet, reason, told_of_dark

_FOLDER = Path(__file__).parent
_USAGE = "usage: python predict.py IMAGE ..."


def main(paths: Sequence[str]) -> int:
    """Print the answers; return the exit code."""
    if {"-h", "--help"}.intersection(paths):
        print(_USAGE)
        return 0
    if not paths:
        print(_USAGE, file=sys.stderr)
        return 2
    try:
        about = json.loads((_FOLDER / "model.json").read_text(encoding="utf-8"))
        session = load(_FOLDER / "model.onnx")
    except Exception as error:  # onnxruntime has classes of its own
        print(f"{_FOLDER}: has no model that can be loaded: {reason(error)}", file=sys.stderr)
        return 2
    failed = False
    for path in paths:
        try:
            shares = classify(session, prepare(Path(path), about))
        except Exception as error:  # of damaged files Pillow's readers raise anything
            is_folder = Path(path).is_dir()
            why = "is a folder" if is_folder else f"cannot be decoded: {reason(error)}"
            print(f"{path}: {why}", file=sys.stderr)
            failed = True
            continue
        best = int(shares.argmax())
        label = str(about["classes"][best])
        print(_shown(str(path)), _shown(label), f"{100 * shares[best]:.1f} %", sep="\t")
    return 1 if failed else 0


def _shown(text: str) -> str:
    """Return text that stays on its line and in its column, and that stdout can encode."""
    encoding = sys.stdout.encoding or "utf-8"
    printable = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
    return printable.encode(encoding, "backslashreplace").decode(encoding)


def load(path: Path) -> Any:
    """Return a session of one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def prepare(path: Path, about: dict[str, Any]) -> NDArray[Any]:
    """Return an image file as the model takes it, [1, ...].

    `about` is `model.json`: float32, normalised, channels first, or raw pixels, uint8.
    """
    frame, takes = Preprocessing.from_dict(about["preprocessing"]), about.get("input", {})
    with quiet(), opened(path) as image:
        if told := told_of_dark(image):
            print(f"{path}: {told}", file=sys.stderr)
        pixels = frame.to_pixels(image)[np.newaxis]
    if takes.get("dtype") != "uint8":
        return frame.normalise(pixels)
    return pixels if takes["layout"] == "nhwc" else pixels.transpose(0, 3, 1, 2)


def classify(session: Any, image: NDArray[Any]) -> NDArray[np.float64]:
    """Return how likely each class is, [classes], 0 to 1."""
    given = {session.get_inputs()[0].name: image}
    answers: NDArray[np.float64] = session.run(None, given)[0][0].astype(np.float64)
    if session.get_outputs()[0].name != "probabilities":
        answers = np.exp(answers - answers.max())
        answers /= answers.sum()
    return answers


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        # `| head` closes our output: no mistake, and no traceback.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))
