"""Float ONNX export, and the cleaning that every ONNX file goes through.

The contract of all our files: input `input`, float32 [batch, channels, height, width], normalised;
output `logits`, float32 [batch, classes]; any batch from 1 up; nothing inside but what runs.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

INPUT, OUTPUT = "input", "logits"

_WEIGHTED = {"Conv", "Gemm", "MatMul", "MatMulInteger"}

OPSET = 18
"""The oldest opset that torch's exporter writes without converting; ONNX Runtime 1.14 reads it."""


def write_onnx(network: nn.Module, example: Tensor, path: Path) -> None:
    """Export a network in evaluation mode with a dynamic batch, clean it, check it, write it."""
    save(to_onnx(network, example), path)


def to_onnx(network: nn.Module, example: Tensor) -> onnx.ModelProto:
    """Return the network as an ONNX model, not yet cleaned.

    The batch dimension is exported from 1 up: torch's own minimum of 2 refuses single images.
    """
    batch = torch.export.Dim("batch", min=1)
    with quiet_exporter():
        program = torch.onnx.export(
            network.cpu(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: batch},),
            external_data=False,
            verbose=False,
        )
    assert program is not None
    proto: onnx.ModelProto = program.model_proto
    return proto


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write a model with nothing in it but what runs, after a full check."""
    clean(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def clean(model: onnx.ModelProto) -> None:
    """Remove in place what no runtime needs, and give all values short names.

    The exporter leaves stack traces with paths of the machine in `metadata_props`: other bytes in
    another folder, and a fifth of a small int8 file. Names are kept for nodes with weights only.
    """
    del model.metadata_props[:]
    del model.functions[:]
    model.doc_string, model.producer_version = "", ""
    model.producer_name = "slimline"
    model.graph.name, model.graph.doc_string = "slimline", ""
    del model.graph.value_info[:]
    _share_equal_initializers(model.graph)
    _drop_unused_initializers(model.graph)
    _rename(model.graph)
    for item in [
        *model.graph.node,
        *model.graph.initializer,
        *model.graph.input,
        *model.graph.output,
    ]:
        del item.metadata_props[:]
        item.doc_string = ""
    _drop_unused_opsets(model)


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silence what the exporter says of its own insides, which no user can act upon."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\..*|onnxscript\..*")
        yield
    logger.setLevel(level)


def _share_equal_initializers(graph: onnx.GraphProto) -> None:
    """Let every use of a constant name the first of its kind: many ranges are the same."""
    first: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    names = {
        each.name: first.setdefault(
            (each.data_type, tuple(each.dims), numpy_helper.to_array(each).tobytes()), each.name
        )
        for each in graph.initializer
    }
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]


def _drop_unused_initializers(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _rename(graph: onnx.GraphProto) -> None:
    names = {INPUT: INPUT, OUTPUT: OUTPUT, "": ""}

    def short(name: str) -> str:
        return names.setdefault(name, f"{len(names) - 3:x}")

    for tensor in graph.initializer:
        tensor.name = short(tensor.name)
    for node in graph.node:
        node.input[:] = [short(name) for name in node.input]
        node.output[:] = [short(name) for name in node.output]
    for position, node in enumerate(graph.node):
        node.name = f"{node.op_type}{position}" if node.op_type in _WEIGHTED else ""


def _drop_unused_opsets(model: onnx.ModelProto) -> None:
    used = {node.domain for node in model.graph.node}
    kept = [each for each in model.opset_import if each.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
