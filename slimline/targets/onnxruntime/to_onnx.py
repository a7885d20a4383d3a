"""Float ONNX export, and the cleaning that every ONNX file goes through.

The contract of all our files: input `input`, float32 [batch, channels, height, width], normalised;
output `logits`, float32 [batch, classes]; any batch from 1 up; nothing inside but what runs. The
product's may take pixels and answer probabilities (`slimline.targets.onnxruntime.interface`).
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import torch
import torch.ao.quantization.fx._decomposed  # the exporter looks once which operators there are
from onnx import numpy_helper
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import GraphModule
from torch.nn import functional
from torch.onnx import OnnxExporterError
from torch.utils import checkpoint

from slimline import attention_biases
from slimline.errors import NetworkError
from slimline.targets.onnxruntime import releases, runtime

INPUT, OUTPUT = "input", "logits"

_BATCH = "batch"

_WEIGHTED = {"Conv", "Gemm", "MatMul", "MatMulInteger"}

_SHAPED = {"Reshape", "Expand", "ConstantOfShape"}
"""Operators that are told a shape."""

OPSET = 18
"""The oldest opset that torch's exporter writes without converting."""

IR_VERSION = releases.oldest_ir_version(OPSET)
"""The exporter writes a newer one, which ONNX Runtime reads from 1.18 on, this one from 1.14 on."""


_WEIGHT_IN_PLACE = (
    "it changes a weight in place, as `self.weight.data *= self.mask` does; compute with a new "
    "one, as F.conv2d(x, self.weight * self.mask) does"
)

_REASONS = {
    "your code specialized it to be a constant": (
        "it holds for as many as it is tried with; say their number as x.size(0), not as len(x) or "
        "a number, or -1 in a view"
    ),
    "data-dependent expression": (
        "what it does depends on the values of an image, as an `if` or a loop on a tensor does; "
        "torch.where chooses for each value, and a fixed rule for all images"
    ),
    "in the exported program constant": _WEIGHT_IN_PLACE,
    "a set_ on a graph input": _WEIGHT_IN_PLACE,
    "an entirely functional graph": (
        "it changes a part of a value in place, in a way that has none; let forward join new parts "
        "(torch.cat), or choose (torch.where)"
    ),
    "Optional[Generator]": (
        "it draws numbers by chance; draw them once, in __init__, and register them as a buffer"
    ),
}
"""By what torch says of it."""

_NEGATIVE_ZERO = "negative_zero"

_TINY = 1e-6
"""Below this all answers are alike."""


def write_onnx(network: nn.Module, example: Tensor, path: Path) -> None:
    """Export a network in evaluation mode with a dynamic batch, clean it, check it, write it."""
    save(to_onnx(network, example), path)


def program(network: nn.Module, example: Tensor) -> ExportedProgram:
    """Return a network as a graph of operators that takes any number of images.

    `example` is float32 [2 or more, channels, height, width]; weights are the network's own.

    Raises:
        NetworkError: what `forward` does cannot be followed, or depends on how many there are.
    """
    batch = torch.export.Dim("batch", min=1)
    try:
        with (
            quiet_exporter(),
            attention_biases.computed_anew(network),
            _called_without_checkpoints(),
            _attention_in_four_dimensions(),
        ):
            return torch.export.export(
                network, (example,), dynamic_shapes=({0: batch},), strict=False
            )
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise NetworkError(
            f"{_name(network)}: its forward cannot be followed for any number of images: "
            f"{_reason(error)}"
        ) from error


@contextlib.contextmanager
def _called_without_checkpoints() -> Iterator[None]:
    """Let `torch.utils.checkpoint` call what it is given, and no more.

    A reentrant one computes without gradients and again with them: a graph of it has none.
    """
    with mock.patch.object(checkpoint.CheckpointFunction, "apply", _called):
        yield


def _called(function: Callable[..., Any], _preserves_random_state: bool, *given: Any) -> Any:
    return function(*given)


@contextlib.contextmanager
def _attention_in_four_dimensions() -> Iterator[None]:
    """Let attention over windows and the like have the four that torch's exporter takes."""
    attention: Callable[..., Tensor] = functional.scaled_dot_product_attention

    def flat(query: Tensor, key: Tensor, value: Tensor, *masked: Any, **others: Any) -> Tensor:
        given = (query, key, value)
        is_masked = any(isinstance(each, Tensor) for each in (*masked, *others.values()))
        if query.dim() <= 4 or is_masked:
            return attention(*given, *masked, **others)
        answer = attention(*(each.flatten(0, -4) for each in given), *masked, **others)
        return answer.reshape(*query.shape[:-3], *answer.shape[1:])

    with mock.patch.object(functional, "scaled_dot_product_attention", flat):
        yield


def to_onnx(network: nn.Module, example: Tensor) -> onnx.ModelProto:
    """Return the network as an ONNX model of any batch, not yet cleaned.

    `example` is float32 [2 or more, channels, height, width]. The network is traced at that batch,
    which is opened afterwards: torch takes three times as long to trace a symbolic one, and finds
    the same graph. Where a network makes something for each image, as a class token, the batch
    stands in more places than can be told from other sizes, and a symbolic one is traced.

    Weights that training left channels-last, or images that were, would make it spell out strides,
    which holds for this one batch.

    Raises:
        NetworkError: no file takes any number of images, or an operator has no ONNX form.
    """
    network.cpu().to(memory_format=torch.contiguous_format)
    example = example.clone(memory_format=torch.contiguous_format)
    model = _export(network, example)
    _name_batch(model.graph, network, example)
    if not _open_batch(model.graph, len(example)) or _refused_batch(model, example):
        model = _export(network, program(network, example))
        _name_batch(model.graph, network, example)
        _simplify_shapes(model.graph)
        refused = _refused_batch(model, example)
        if refused:
            raise NetworkError(f"{_name(network)}: the exported file {refused}")
    _keep_zeros_of_pools(model.graph)
    return model


def _export(network: nn.Module, given: Tensor | ExportedProgram) -> onnx.ModelProto:
    """Return a network as it is traced at an example, or was for any number of images.

    Without gradients: torch's exporter computes shapes a second time with those that parameters
    want, and takes another kernel then for attention with a learnt bias, whose strides differ.
    """
    what = (given,) if isinstance(given, ExportedProgram) else (network, (given,))
    try:
        with (
            torch.no_grad(),
            quiet_exporter(),
            attention_biases.computed_anew(network),
            _attention_in_four_dimensions(),
        ):
            found = torch.onnx.export(
                *what,
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                external_data=False,
                verbose=False,
            )
    except OnnxExporterError as error:
        raise NetworkError(
            f"{_name(network)}: has no ONNX form: {_reason(_first_cause(error))}"
        ) from error
    assert found is not None
    model: onnx.ModelProto = found.model_proto
    model.ir_version = IR_VERSION
    return model


def _refused_batch(model: onnx.ModelProto, example: Tensor) -> str:
    """Return why a model does not answer one image or three; empty if it does."""
    try:
        session = runtime.load(model.SerializeToString(), num_threads=1, optimised=False)
    except Fail as error:
        return f"cannot be read: {_first_line(error)}"
    count = len(example) + 1
    images = np.random.default_rng(0).standard_normal((count, *example.shape[1:]), np.float32)
    try:
        together = runtime.run(session, images)
        alone = np.concatenate([runtime.run(session, each[np.newaxis]) for each in images])
    except (RuntimeException, InvalidArgument, Fail) as error:
        return f"does not take any number of images: {_first_line(error)}"
    if together.shape != alone.shape:
        return (
            f"answers {count} images at once with {list(together.shape)}, and one by one with "
            f"{list(alone.shape)}"
        )
    if not np.isfinite(together).all():
        return "answers with NaN or infinity: look for such values among its weights"
    # Rounding may turn a bit; images that were mixed up differ as much as images do.
    is_alike = np.abs(together - alone).max() <= np.ptp(alone, axis=0).max() / 2 + _TINY
    return "" if is_alike else "answers an image otherwise beside others"


def _open_batch(graph: onnx.GraphProto, batch: int) -> bool:
    """Let the first dimension of what is reshaped be any number.

    Returns False where the graph has the batch in a place that is not known here.
    """
    shapes = {each.name: each.type.tensor_type.shape.dim for each in graph.value_info}
    tensors = {each.name: each for each in graph.initializer}
    for node in graph.node:
        if node.op_type not in _SHAPED:
            continue
        shape = tensors.get(node.input[-1])
        sizes = numpy_helper.to_array(shape).tolist() if shape is not None else []
        if sizes[:1] in ([-1], [1]):
            continue
        if -1 in sizes:
            known = [each.dim_value for each in shapes.get(node.output[0], [])]
            sizes = known if all(known) else sizes
        if node.op_type != "Reshape" or not sizes or sizes[0] % batch or -1 in sizes:
            return False
        _reshape(graph, node, sizes[1:])
    return True


def _name_batch(graph: onnx.GraphProto, network: nn.Module, example: Tensor) -> None:
    """Name the batch of input and output as all our files do.

    Behind some operators (torch.roll) the exporter knows no shape of the output any more.
    """
    for value in [*graph.input, *graph.output]:
        shape = value.type.tensor_type.shape
        if not shape.dim:
            with torch.no_grad():
                sizes = network(example).shape
            for size in sizes:
                shape.dim.add().dim_value = size
        shape.dim[0].dim_param = _BATCH


def _simplify_shapes(graph: onnx.GraphProto) -> None:
    """Say the batch as -1 where a shape is computed for it alone.

    What computed those shapes is left for `clean` to remove.
    """
    shapes = {each.name: each.type.tensor_type.shape.dim for each in graph.value_info}
    for node in graph.node:
        dims = shapes.get(node.output[0], []) if node.op_type == "Reshape" else []
        others = [each.dim_value for each in dims[1:]]
        if dims and all(others) and not dims[0].dim_value:
            _reshape(graph, node, others)


def _reshape(graph: onnx.GraphProto, node: onnx.NodeProto, others: list[int]) -> None:
    """Let a node make these sizes of what it is given, as many as there are."""
    opened = numpy_helper.from_array(np.array([-1, *others]), f"shape_{node.output[0]}")
    graph.initializer.append(opened)
    node.input[1] = opened.name


def _keep_zeros_of_pools(graph: onnx.GraphProto) -> None:
    """Pad what max-pooling reads with -0.0, where a network pads it with 0.

    ONNX Runtime, from 1.17 on, makes a padding by 0 the pool's own, which is below all values:
    where all of them are negative, the answer is another. Of -0.0 it makes nothing.
    """
    zeros = {each.name for each in graph.initializer if not numpy_helper.to_array(each).any()}
    pooled = {node.input[0] for node in graph.node if node.op_type == "MaxPool"}
    pads = [node for node in graph.node if node.op_type == "Pad" and node.output[0] in pooled]
    for node in pads:
        if len(node.input) < 3 or node.input[2] in zeros:
            others = node.input[3:]
            node.input[:] = [*node.input[:2], _NEGATIVE_ZERO, *others]
    if any(_NEGATIVE_ZERO in node.input for node in pads):
        graph.initializer.append(
            numpy_helper.from_array(np.array(-0.0, np.float32), _NEGATIVE_ZERO)
        )


def _name(network: nn.Module) -> str:
    """Return what a network is called; one that is a graph of operators has lost its name."""
    return "the network" if isinstance(network, GraphModule) else type(network).__name__


def _first_cause(error: BaseException) -> BaseException:
    return error if error.__cause__ is None else _first_cause(error.__cause__)


def _reason(error: BaseException) -> str:
    told = str(error)
    known = (reason for said, reason in _REASONS.items() if said in told)
    return next(known, _first_line(error))


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


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
    _drop_unused_nodes(model.graph)
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


_LOGGERS = ("torch.onnx", "torch.fx.experimental.symbolic_shapes")


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Silence what the exporter says of its own insides, which no user can act upon."""
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in _LOGGERS}
    for logger in levels:
        logger.setLevel(logging.ERROR)
    unread = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(unread),
        contextlib.redirect_stderr(unread),
    ):
        warnings.filterwarnings("ignore", category=FutureWarning)
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\..*|onnxscript\..*")
        # What `forward` keeps for its next call, as a table, is computed in the graph.
        warnings.filterwarnings("ignore", "The tensor attributes? ", category=UserWarning)
        try:
            yield
        finally:
            for logger, level in levels.items():
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


def _drop_unused_nodes(graph: onnx.GraphProto) -> None:
    used = {each.name for each in graph.output}
    kept = []
    for node in reversed(graph.node):
        if used.intersection(node.output):
            kept.append(node)
            used.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))


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
