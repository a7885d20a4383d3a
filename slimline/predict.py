"""Classify image files with a model of the pipeline, as a deployment would: without torch.

    python -m slimline.predict models/int8_export photo.jpg another.png

prints one line per file: its name, the class, and how likely the model thinks it is.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from slimline.core import description
from slimline.core.errors import DataError, SlimlineError
from slimline.core.preprocessing import Preprocessing
from slimline.measure import session

_USAGE = "usage: python -m slimline.predict <model folder> <image file>..."


def predict(model: Path, images: list[Path]) -> list[tuple[str, float]]:
    """Return the class of each image file, and its share of the softmax.

    Raises:
        ArtifactError: the folder has no model that can be deployed.
        DataError: a file is missing or is no image.
    """
    content = description.read(model)
    frame = Preprocessing.from_dict(content["preprocessing"])
    runtime = session.load(description.onnx_path(model), num_threads=1)
    answers = []
    for path in images:
        logits = session.run(runtime, frame.normalise(_read(path, frame)[np.newaxis]))[0]
        shares = np.exp(logits - logits.max())
        best = int(logits.argmax())
        answers.append((content["classes"][best], float(shares[best] / shares.sum())))
    return answers


def _read(path: Path, frame: Preprocessing) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            return frame.to_pixels(image)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: is no image that Pillow can read") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be decoded: {error}") from None


def main() -> None:
    """Print a line per file; exit code 2 for a mistake of the user."""
    if len(sys.argv) < 3:
        sys.exit(_USAGE)
    model, *images = map(Path, sys.argv[1:])
    try:
        answers = predict(model, images)
    except SlimlineError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    for path, (label, share) in zip(images, answers, strict=True):
        print(f"{path}\t{label}\t{100 * share:.1f} %")


if __name__ == "__main__":
    main()
