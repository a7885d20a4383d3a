"""Do the two matrix products of attention gain from int8 in ONNX Runtime?

    python -m benchmarks.attention

Each row is one attention, as some network has it: queries, keys and values in float, as int8 linear
layers hand them on, to float again. In float: product, softmax, product. In int8 each operand of a
product is rounded for it, and its result; ONNX Runtime makes the softmax between them int8 as well.
Both run in turns, on one thread; printed is the median of the paired ratios, and those at 10 and 90
percent.
"""

import argparse
import time
from collections.abc import Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from slimline.targets.onnxruntime import runtime, to_onnx

SHAPES = {
    "ViT-tiny, 224 px": (3, 197, 64),
    "ViT-base, 224 px": (12, 197, 64),
    "ViT-tiny, 96 px": (3, 37, 64),
    "Swin, a window of 49 places, 64 windows": (64 * 3, 49, 32),
    "EfficientFormer, 49 places": (8, 49, 32),
    "MobileViT, 256 places": (4 * 4, 256, 16),
}
"""Heads (times windows), places, features of a head."""


def main() -> None:
    """Print a row per shape."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=60)
    given = parser.parse_args()
    print("| attention | float ms | int8 ms | float / int8 (10 to 90 %) |")
    print("|---|---|---|---|")
    for name, shape in SHAPES.items():
        in_float, in_int8 = (np.array(each) for each in _times(shape, given.runs))
        low, ratio, high = np.percentile(in_float / in_int8, [10, 50, 90])
        print(
            f"| {name} | {np.median(in_float):.3f} | {np.median(in_int8):.3f} "
            f"| {ratio:.2f} ({low:.2f} to {high:.2f}) |"
        )


def _times(shape: tuple[int, int, int], runs: int) -> tuple[list[float], list[float]]:
    """Return milliseconds of both, a pair per turn."""
    values = np.random.default_rng(0).standard_normal((3, *shape)).astype(np.float32)
    sessions = [
        runtime.load(_model(shape, in_int8=each).SerializeToString(), num_threads=1)
        for each in (False, True)
    ]
    feeds = dict(zip("qkv", values, strict=True))
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(runs):
        for session, found in zip(sessions, times, strict=True):
            began = time.perf_counter()
            session.run(None, feeds)
            found.append(1000 * (time.perf_counter() - began))
    return times


def _model(shape: tuple[int, int, int], *, in_int8: bool) -> onnx.ModelProto:
    """Return the attention of float32 inputs q, k and v, [heads, places, features]."""
    nodes = [
        helper.make_node("Transpose", ["k"], ["turned"], perm=[0, 2, 1]),
        *_product("q", "turned", "scores", 0.05, 0.05, 0.2, in_int8=in_int8),
        helper.make_node("Softmax", ["scores"], ["shares"], axis=-1),
        *_product("shares", "v", "answer", 1 / 255, 0.05, 0.02, in_int8=in_int8),
    ]
    graph = helper.make_graph(
        nodes,
        "attention",
        [helper.make_tensor_value_info(each, TensorProto.FLOAT, shape) for each in "qkv"],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(content, name) for name, content in _constants()],
    )
    opset = helper.make_opsetid("", to_onnx.OPSET)
    return helper.make_model(graph, opset_imports=[opset], ir_version=to_onnx.IR_VERSION)


def _product(
    left: str, right: str, result: str, *scales: float, in_int8: bool
) -> Iterator[onnx.NodeProto]:
    if not in_int8:
        yield helper.make_node("MatMul", [left, right], [result])
        return
    for name, scale in zip((left, right), scales, strict=False):
        yield from _rounded(name, f"{name}_rounded", scale)
    yield helper.make_node("MatMul", [f"{left}_rounded", f"{right}_rounded"], [f"{result}_sums"])
    yield from _rounded(f"{result}_sums", result, scales[2])


def _rounded(name: str, result: str, scale: float) -> Iterator[onnx.NodeProto]:
    steps = [f"scale_{scale:g}", "zero" if scale == 1 / 255 else "middle"]
    yield helper.make_node("QuantizeLinear", [name, *steps], [f"{result}_bytes"])
    yield helper.make_node("DequantizeLinear", [f"{result}_bytes", *steps], [result])


def _constants() -> Iterator[tuple[str, NDArray[np.generic]]]:
    for scale in (0.05, 0.2, 1 / 255, 0.02):
        yield f"scale_{scale:g}", np.array(scale, np.float32)
    yield "zero", np.array(0, np.uint8)
    yield "middle", np.array(128, np.uint8)


if __name__ == "__main__":
    main()
