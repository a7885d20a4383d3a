"""Classify image files with a model of the pipeline, as a deployment would: without torch.

numpy, Pillow and onnxruntime are all that this needs; `python -m slimline predict` is its command.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from slimline.artifacts import description, model_interface
from slimline.data import image_search, preprocessing
from slimline.data.preprocessing import Preprocessing
from slimline.errors import ArtifactError, DataError
from slimline.measure import softmax
from slimline.targets.onnxruntime import by_openvino
from slimline.targets.registry import ONNX_RUNTIME
from slimline.targets.runtimes import Answer, Deployable

_FILES = (description.ONNX, description.DESCRIPTION)

_BATCH = 4
"""Images that the model sees at once.

Enough for small models: 4,500 images of 28 x 28 a second instead of 2,400 one by one, and 5,500 in
batches of 16. Larger ones gain nothing (EfficientNet-B0 at 224 x 224), and 16 at once take them
three times as long to the first answer and 0.3 GB more (docs/experiments.md).
"""

_NUM_DECODERS = min(4, os.cpu_count() or 1)
"""Threads that decode; each holds a whole photo and copies of it, some 100 MB of 12 megapixels."""

Pixels: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True)
class Prediction:
    """A class, and how likely the model thinks it is."""

    label: str
    share: float
    """Of the softmax, 0 to 1."""


@dataclass(frozen=True)
class Model:
    """A model that is ready to answer, and what goes in and comes out."""

    classes: Sequence[str]
    frame: Preprocessing
    answer: Answer
    """From what the frame makes of images to logits."""


def load(folder: Path, *, runtime: str = ONNX_RUNTIME) -> Model:
    """Return the model of a folder, tried on a blank image.

    `runtime` is what runs an .onnx: onnxruntime or openvino. Other files have one of their own.

    Raises:
        TargetError: the runtime is not installed.
        ArtifactError: the folder has no model that can be deployed, or its files are broken or do
            not fit each other.
    """
    if folder.is_file():
        meant = folder.parent if folder.name in _FILES else "models/int8_export"
        raise ArtifactError(f"{folder}: is a file; MODEL, which comes first, is a folder: {meant}")
    content = description.read(folder)
    path = folder / description.DESCRIPTION
    if not isinstance(content.get("classes"), list):
        raise ArtifactError(f"{path}: describes no classifier: 'classes' is missing or wrong")
    interface = model_interface.read(folder)
    frame = interface.frame
    try:
        blank = _blank(frame)
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        raise ArtifactError(
            f"{path}: 'preprocessing' is wrong: {preprocessing.reason(error)}"
        ) from None
    deployable = description.deployable(folder)
    answer = interface.with_logits(_load(deployable, content, runtime))
    model = Model(list(map(str, content["classes"])), frame, answer)
    try:
        shape = model.answer(blank).shape[1:]
    except Exception as error:  # each runtime has its own
        raise ArtifactError(
            f"{deployable.path}: does not take what {path.name} describes: "
            f"{preprocessing.reason(error)}"
        ) from None
    if shape != (len(model.classes),):
        raise ArtifactError(
            f"{deployable.path}: gives {' x '.join(map(str, shape))} figures for an image, but "
            f"{path.name} has {len(model.classes)} classes"
        )
    return model


def predict(
    model: Model, images: Sequence[Path], *, top: int = 1
) -> Iterator[list[Prediction] | DataError]:
    """Yield for each image file, in order, its likeliest classes, the best first.

    Or what is wrong with the file; the others are answered all the same. Which images are in a
    batch together changes no answer beyond float noise.
    """
    for batch in _decode(images, model.frame):
        pixels = [each for each in batch if not isinstance(each, DataError)]
        answers = iter(_answer(model, pixels, top))
        yield from (each if isinstance(each, DataError) else next(answers) for each in batch)


def _answer(model: Model, pixels: Sequence[Pixels], top: int) -> list[list[Prediction]]:
    if not pixels:
        return []
    logits = model.answer(model.frame.normalise(np.stack(pixels)))
    shares = np.exp(softmax.log_shares(logits))
    best = np.argsort(-logits, axis=1, kind="stable")[:, :top]
    return [
        [Prediction(model.classes[column], float(row[column])) for column in columns]
        for row, columns in zip(shares, best.tolist(), strict=True)
    ]


def _decode(images: Sequence[Path], frame: Preprocessing) -> Iterator[list[Pixels | DataError]]:
    """Yield images batch by batch; while one is answered, the next is decoded."""
    read = partial(_read_or_error, frame=frame)
    with preprocessing.decoders(max(1, min(_NUM_DECODERS, len(images)))) as threads:
        coming = threads.map(read, images[:_BATCH])
        for start in range(0, len(images), _BATCH):
            batch = list(coming)
            coming = threads.map(read, images[start + _BATCH : start + 2 * _BATCH])
            yield batch


def _read_or_error(path: Path, *, frame: Preprocessing) -> Pixels | DataError:
    try:
        return _read(path, frame)
    except DataError as error:
        return error


def _load(deployable: Deployable, content: dict[str, Any], runtime: str) -> Answer:
    is_own = runtime == ONNX_RUNTIME
    if not is_own and deployable.target != ONNX_RUNTIME:
        raise ArtifactError(
            f"{deployable.path}: runs in {deployable.target} alone; --runtime is for .onnx files"
        )
    if not is_own:
        by_openvino.require("--runtime openvino")
    try:
        if is_own:
            return deployable.load(num_threads=1)
        return by_openvino.load(deployable.path, num_threads=1)
    except Exception as error:  # each runtime has its own
        oldest = content.get("oldest_onnxruntime") if is_own else None
        needs = f" (it needs {oldest} or newer)" if oldest else ""
        raise ArtifactError(
            f"{deployable.path}: cannot be loaded by {deployable.target if is_own else runtime}"
            f"{needs}: {preprocessing.reason(error)}"
        ) from None


def _blank(frame: Preprocessing) -> NDArray[np.float32]:
    """Return two blank images as a model takes them; two, since a file may be for one at a time."""
    if frame.channels not in (1, 3):
        raise ValueError(f"channels is {frame.channels!r}, neither 1 nor 3")
    pixels = frame.to_pixels(Image.new("RGB", (2, 1)))
    return frame.normalise(np.stack([pixels, pixels]))


def _read(path: Path, frame: Preprocessing) -> NDArray[np.uint8]:
    try:
        with preprocessing.opened(path) as image:
            if told := preprocessing.told_of_dark(image):
                print(f"{path}: {told}", file=sys.stderr)
            return frame.to_pixels(image)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except UnidentifiedImageError:
        raise DataError(f"{path}: {image_search.why_unknown(path)}") from None
    # Of damaged files Pillow's readers raise anything: struct.error, TypeError, zlib.error, ...
    except Exception as error:
        raise DataError(f"{path}: cannot be decoded: {preprocessing.reason(error)}") from None
