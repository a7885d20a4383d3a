"""What an .onnx file holds and costs, also where its input is raw pixels."""

import tempfile
import zlib
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from slimline.targets.model_file import ModelFile
from slimline.targets.onnxruntime import onnx_file


def inspect(path: Path) -> ModelFile:
    """Return what a file of any input holds and costs, as `onnx_file.inspect` does of float32.

    ONNX Runtime's account of the file is of the same graph, its pixels handed over as float32.
    """
    content = path.read_bytes()
    model = onnx.load_from_string(content)
    (given,) = model.graph.input
    kind = given.type.tensor_type
    if kind.elem_type == TensorProto.FLOAT:
        return onnx_file.inspect(path)
    cast = helper.make_node("Cast", [f"float_{given.name}"], [given.name], to=kind.elem_type)
    model.graph.node.insert(0, cast)
    given.name, kind.elem_type = cast.input[0], TensorProto.FLOAT
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / path.name
        other.write_bytes(model.SerializeToString())
        found = onnx_file.inspect(other)
    return replace(
        found,
        num_bytes=len(content),
        num_bytes_deflated=len(zlib.compress(content, level=9)),
    )
