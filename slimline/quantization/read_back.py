"""A network with fake-quant on its way through a folder, from the stage that trains to the next.

Names and shapes are checked wherever tensors are read. What no file has is looked at here: tables
that a `forward` makes of numbers, and whatever else a network's code computes with, are made anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slimline.artifacts import model_folder
from slimline.errors import NetworkError
from slimline.networks import state
from slimline.quantization import attributes, int8_export

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from slimline.data.split_files import Split
    from slimline.networks.classifier import Classifier
    from slimline.quantization.mixed_record import LayerChoice
    from slimline.quantization.settings import QatFinetuneParams


def through(
    folder: Path,
    trained: Classifier,
    settings: QatFinetuneParams,
    choices: Sequence[LayerChoice] = (),
    *,
    data: Split,
) -> Classifier:
    """Return a model as `int8_export` reads it from a folder that is written as QAT writes it.

    Raises:
        ArtifactError: its tensors are not those that a network of its description has.
        NetworkError: it computes with other values than the one that was written.
    """
    model_folder.save(
        folder, trained, data=data, settings=settings, with_onnx=False,
        extra={"mixed": [each.to_dict() for each in choices]},
    )  # fmt: skip
    again = int8_export.load_prepared(folder)
    for node in again.network.graph.nodes:  # type: ignore[union-attr]
        name = str(node.target)
        if node.op != "get_attr":
            continue
        written, found = (attributes.find(each.network, name) for each in (trained, again))
        if found is not None and (written is None or not state.are_equal(written, found)):
            raise NetworkError(
                f"{trained.architecture.backbone}: computes with other values when it is read back "
                f"from its folder ({name}): register what forward computes with as a buffer, made "
                "in __init__; where that is so, this is a fault of Slimline's, please report it"
            )
    return again
