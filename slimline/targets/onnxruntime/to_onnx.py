"""Float ONNX export, and the cleaning that every ONNX file goes through.

The contract of all our files: input `input`, float32 [batch, channels, height, width], normalised;
output `logits`, float32 [batch, classes]; any batch from 1 up; nothing inside but what runs. The
product's may take pixels and answer probabilities (`slimline.targets.onnxruntime.interface`).
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from onnxruntime.capi.onnxruntime_pybind11_state import RuntimeException
from torch import Tensor, nn

from slimline.errors import NetworkError
from slimline.targets.onnxruntime import releases, runtime

INPUT, OUTPUT = "input", "logits"

_WEIGHTED = {"Conv", "Gemm", "MatMul", "MatMulInteger"}

_SHAPED = {"Reshape", "Expand", "ConstantOfShape"}
"""Operators that are told a shape."""

OPSET = 18
"""The oldest opset that torch's exporter writes without converting."""

IR_VERSION = releases.oldest_ir_version(OPSET)
"""The exporter writes a newer one, which ONNX Runtime reads from 1.18 on, this one from 1.14 on."""


def write_onnx(network: nn.Module, example: Tensor, path: Path) -> None:
    """Export a network in evaluation mode with a dynamic batch, clean it, check it, write it."""
    save(to_onnx(network, example), path)


def to_onnx(network: nn.Module, example: Tensor) -> onnx.ModelProto:
    """Return the network as an ONNX model of any batch, not yet cleaned.

    `example` is float32 [2 or more, channels, height, width]. The network is traced at that batch,
    which is opened afterwards: torch takes three times as long to trace a symbolic one, and finds
    the same graph. Weights that training left channels-last, or images that were, would make it
    spell out strides, which holds for this one batch.
    """
    network.cpu().to(memory_format=torch.contiguous_format)
    example = example.clone(memory_format=torch.contiguous_format)
    with quiet_exporter():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    model.ir_version = IR_VERSION
    _open_batch(model.graph, len(example))
    _check_any_batch(model, example)
    return model


def _check_any_batch(model: onnx.ModelProto, example: Tensor) -> None:
    """Let a model answer one image and three.

    Raises:
        NetworkError: it cannot.
    """
    session = runtime.load(model.SerializeToString(), num_threads=1, optimised=False)
    for count in (1, len(example) + 1):
        images = np.zeros((count, *example.shape[1:]), np.float32)
        try:
            answers = len(runtime.run(session, images))
        except RuntimeException as error:
            raise NetworkError(f"the exported file does not take {count} images: {error}") from None
        if answers != count:
            raise NetworkError(f"the exported file gives {answers} answers to {count} images")


def _open_batch(graph: onnx.GraphProto, batch: int) -> None:
    """Let the first dimension be any number: of input, output, and what is reshaped.

    Raises:
        NetworkError: the graph has the batch in a place that is not known here.
    """
    shapes = {each.name: each.type.tensor_type.shape.dim for each in graph.value_info}
    for value in [*graph.input, *graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    tensors = {each.name: each for each in graph.initializer}
    for node in graph.node:
        if node.op_type not in _SHAPED:
            continue
        shape = tensors.get(node.input[1])
        sizes = numpy_helper.to_array(shape).tolist() if shape is not None else []
        if sizes[:1] in ([-1], [1]):
            continue
        if -1 in sizes:
            known = [each.dim_value for each in shapes.get(node.output[0], [])]
            sizes = known if all(known) else sizes
        if node.op_type != "Reshape" or not sizes or sizes[0] % batch or -1 in sizes:
            raise NetworkError(
                f"cannot be exported for any number of images: {node.op_type} makes {sizes} of "
                f"{batch} images; a `view` or `expand` may say the number of images as -1"
            )
        opened = numpy_helper.from_array(np.array([-1, *sizes[1:]]), f"shape_{node.output[0]}")
        graph.initializer.append(opened)
        node.input[1] = opened.name


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
