"""Models in LiteRT: loaded, run, and what is told of them. Free of torch."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slimline.targets.litert import installed, tflite_file
from slimline.targets.model_file import ModelFile

FILE = "model.tflite"


def require() -> None:
    """Refuse to go on without what writes a file and runs it.

    Raises:
        TargetError: it is not installed, or does not fit this torch.
    """
    installed.require()


def load(model: Path, *, num_threads: int, optimised: bool = True) -> Any:
    """Return LiteRT's interpreter of a file; else without XNNPACK.

    Raises:
        TargetError: LiteRT is not installed.
    """
    installed.require_interpreter()
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kinds = OpResolverType
    loaded = Interpreter(
        model_path=str(model),
        num_threads=num_threads,
        experimental_op_resolver_type=(
            kinds.AUTO if optimised else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        ),
    )
    loaded.allocate_tensors()
    return loaded


def run(loaded: Any, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return logits, float32 [count, classes], for float32 [count, channels, height, width].

    A file takes one image at a time.
    """
    (image,), (answer,) = loaded.get_input_details(), loaded.get_output_details()
    logits = []
    for each in to_bytes(np.moveaxis(images, 1, -1), image)[:, np.newaxis]:
        loaded.set_tensor(image["index"], np.ascontiguousarray(each))
        loaded.invoke()
        logits.append(to_values(loaded.get_tensor(answer["index"]), answer))
    return np.concatenate(logits)


def ends(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return type and shape of what a file takes and answers, and what bytes of it stand for."""
    loaded = load(path, num_threads=1)
    (image,), (answer,) = loaded.get_input_details(), loaded.get_output_details()
    return _described(image), _described(answer)


def _described(end: Any) -> dict[str, Any]:
    scale, zero_point = end["quantization"]
    steps = {"scale": float(scale), "zero_point": int(zero_point)} if scale else {}
    return {"dtype": np.dtype(end["dtype"]).name, "shape": end["shape"].tolist(), **steps}


def inspect(path: Path) -> ModelFile:
    """Return what a file holds and costs, counted in itself."""
    content = path.read_bytes()
    return ModelFile(
        num_bytes=len(content),
        num_bytes_deflated=len(zlib.compress(content, level=9)),
        **tflite_file.counts(path),
    )


def to_bytes(images: NDArray[np.float32], image: Any) -> NDArray[Any]:
    """Return images in the type that a file takes; bytes are rounded as fake-quant rounds.

    `image` is what LiteRT tells of that end of a file.
    """
    scale, zero_point = image["quantization"]
    if not scale:
        return images
    limits = np.iinfo(image["dtype"])
    steps = np.rint(images * (np.float32(1) / np.float32(scale))) + zero_point
    rounded: NDArray[Any] = np.clip(steps, limits.min, limits.max).astype(image["dtype"])
    return rounded


def to_values(levels: NDArray[Any], answer: Any) -> NDArray[np.float32]:
    """Return what bytes stand for; floats are that themselves."""
    scale, zero_point = answer["quantization"]
    if not scale:
        return levels
    values: NDArray[np.float32] = (levels.astype(np.float32) - zero_point) * np.float32(scale)
    return values
