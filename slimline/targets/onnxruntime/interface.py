"""What goes into a product's file, what comes out, and what is written on it.

Done last, to a file whose layers were compared with the network that it was made from: pixels in
the place of a normalised image, quantized logits or probabilities in the place of logits, and a few
words of metadata by which a reader that has lost `model.json` knows what the file is.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx import helper

from slimline.data.preprocessing import Preprocessing
from slimline.data.raw_pixels import RawPixels
from slimline.targets.onnxruntime.passes import answer_pair, order, pixel_input

_HASH_DIGITS = 16


def rewrite(
    path: Path,
    frame: Preprocessing,
    *,
    answers: str,
    metadata: dict[str, str],
    paired: bool = False,
) -> None:
    """Rewrite a file in place; its layers stay as they are.

    `frame` makes what the file takes; `answers` is the name of its output, and of the softmax of
    the logits if it is another. `metadata` is of `labelled`; `paired` is of `take_pixels`, for a
    file of form `portable`.
    """
    model = onnx.load(path)
    rewrites: list[order.Rewrite] = []
    if isinstance(frame, RawPixels):
        rewrites.append(partial(pixel_input.take_pixels, frame=frame, paired=paired))
    if answers != model.graph.output[0].name:
        rewrites.append(partial(_answer_softmax, name=answers))
    # Read and written anew in any case: that leaves out empty strings, which protobuf keeps where
    # they were set, and which take more room than the metadata.
    model = order.apply(model, *rewrites)
    helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def round_logits(path: Path, steps: answer_pair.Steps) -> None:
    """Put a quantize and a dequantize node behind what a file answers, in place."""
    model = order.apply(onnx.load(path), partial(answer_pair.round_answer, steps=steps))
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def labelled(classes: Sequence[str], frame: Preprocessing, settings_hash: str) -> dict[str, str]:
    """Return the metadata of a file: a class's name each, and a hundred bytes or two.

    `labels` has a class per line, in the order of the answers; `mean` and `std` are of pixels
    scaled to 0..1, by channel, or `pixels` is the layout of those that the file takes as they are;
    `settings` begins as `sha256.settings` in `model.json` does.
    """
    if isinstance(frame, RawPixels):
        taken = {"pixels": frame.layout}
    else:
        numbers = {"mean": frame.mean, "std": frame.std}
        taken = {key: " ".join(f"{each:.9g}" for each in found) for key, found in numbers.items()}
    return {"labels": "\n".join(classes), **taken, "settings": settings_hash[:_HASH_DIGITS]}


def _answer_softmax(model: ir.Model, *, name: str) -> None:
    """Let a graph answer the softmax of its logits, in place."""
    (logits,) = model.graph.outputs
    tape = ir.tape.Tape()
    shares = tape.op("Softmax", [logits])
    shares.name, shares.type, shares.shape = name, logits.type, logits.shape
    model.graph.extend(tape.nodes)
    model.graph.outputs[0] = shares
