"""Classify image files with a model of the pipeline, as a deployment would: without torch.

numpy, Pillow and onnxruntime are all that this needs; `python -m slimline predict` is its command.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from slimline.artifacts import description
from slimline.data import preprocessing
from slimline.data.preprocessing import Preprocessing
from slimline.errors import DataError
from slimline.measure import softmax


@dataclass(frozen=True)
class Prediction:
    """A class, and how likely the model thinks it is."""

    label: str
    share: float
    """Of the softmax, 0 to 1."""


def predict(model: Path, images: Sequence[Path], *, top: int = 1) -> list[list[Prediction]]:
    """Return the most likely classes of each image file, the best first.

    Raises:
        ArtifactError: the folder has no model that can be deployed.
        DataError: a file is missing or is no image.
    """
    content = description.read(model)
    frame = Preprocessing.from_dict(content["preprocessing"])
    answer = description.deployable(model).load(num_threads=1)
    answers = []
    for path in images:
        logits = answer(frame.normalise(_read(path, frame)[np.newaxis]))
        shares = np.exp(softmax.log_shares(logits))[0]
        best = np.argsort(-logits[0], kind="stable")[:top].tolist()
        answers.append([Prediction(content["classes"][row], float(shares[row])) for row in best])
    return answers


def _read(path: Path, frame: Preprocessing) -> NDArray[np.uint8]:
    try:
        with preprocessing.quiet(), preprocessing.opened(path) as image:
            return frame.to_pixels(image)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: is no image that Pillow can read") from None
    # Of damaged files Pillow's readers raise anything: struct.error, TypeError, zlib.error, ...
    except Exception as error:
        raise DataError(f"{path}: cannot be decoded: {preprocessing.reason(error)}") from None
