"""What a model file takes and what it answers, as `model.json` beside it says.

Every model of the chain takes normalised images and answers logits; the product may take raw pixels
and answer probabilities (`slimline.targets.onnxruntime.interface` writes it so). Free of torch and
pydantic, as is `slimline.artifacts.description`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimline.artifacts import description
from slimline.data.preprocessing import Preprocessing
from slimline.data.raw_pixels import RawPixels
from slimline.errors import ArtifactError

LOGITS, PROBABILITIES = "logits", "probabilities"

_LAYOUTS = ("nchw", "nhwc")

_Answers = NDArray[np.float32]
_LEAST = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class Interface:
    """What goes into a file and what comes out."""

    frame: Preprocessing
    """Makes of images what the file takes: `RawPixels` where that is raw pixels."""
    answers: str = LOGITS
    """Or `PROBABILITIES`."""

    def to_logits(self, answers: _Answers) -> _Answers:
        """Return logits, [count, classes], for what the file answered.

        Of probabilities these are their logarithms: logits but for a number that all classes of an
        image share, so that softmax, loss and ranks are the same. A probability too small for
        float32 counts as the smallest there is.
        """
        if self.answers == LOGITS:
            return answers
        logarithms: _Answers = np.log(np.maximum(answers, _LEAST))
        return logarithms

    def with_logits(self, answer: Callable[[Any], _Answers]) -> Callable[[Any], _Answers]:
        """Return what answers logits, from what answers as the file does."""
        return answer if self.answers == LOGITS else lambda images: self.to_logits(answer(images))

    def describe(self) -> dict[str, Any]:
        """Return what `model.json` says of it; `read` understands that."""
        frame = self.frame
        if not isinstance(frame, RawPixels):
            return {"output": {"name": self.answers, "dtype": "float32"}}
        without = {"channels_last"}
        fields = {key: each for key, each in frame.to_dict().items() if key not in without}
        return {
            "input": {
                "name": "input",
                "dtype": "uint8",
                "layout": frame.layout,
                "shape": ["batch", *frame.shape],
            },
            "output": {"name": self.answers, "dtype": "float32"},
            "preprocessing": fields | {"steps": frame.steps},
        }


def of(frame: Preprocessing, *, takes: str, answers: str) -> Interface:
    """Return the interface that section `int8_export` asks for: its `input` and its `answer`."""
    if takes == "float32":
        return Interface(frame, answers)
    return Interface(_raw(frame, channels_last=takes == "uint8_nhwc"), answers)


def read(folder: Path) -> Interface:
    """Return the interface of a folder's deployable model.

    Raises:
        ArtifactError: `model.json` is missing or wrong.
    """
    content, frame = description.read(folder), description.frame(folder)
    path = folder / description.DESCRIPTION
    takes, gives = (content.get(key, {}) for key in ("input", "output"))
    for key, each in (("input", takes), ("output", gives)):
        if not isinstance(each, dict):
            raise ArtifactError(f"{path}: {key!r} is wrong: it is a JSON {type(each).__name__}")
    answers = gives.get("name", LOGITS)
    if answers not in {LOGITS, PROBABILITIES}:
        raise ArtifactError(
            f"{path}: 'name' of 'output' is {answers!r}, neither {LOGITS} nor {PROBABILITIES}"
        )
    # What other runtimes take as bytes, in steps of a range, they round themselves.
    if takes.get("dtype", "float32") == "float32" or "scale" in takes:
        return Interface(frame, answers)
    if takes["dtype"] != "uint8" or takes.get("layout") not in _LAYOUTS:
        raise ArtifactError(
            f"{path}: 'input' has dtype {takes['dtype']!r} and layout {takes.get('layout')!r}; "
            "known are float32, and uint8 with layout nchw or nhwc"
        )
    return Interface(_raw(frame, channels_last=takes["layout"] == "nhwc"), answers)


def _raw(frame: Preprocessing, *, channels_last: bool) -> RawPixels:
    return RawPixels(**asdict(frame), channels_last=channels_last)
