"""Loads one model into one engine whenever it is asked; for `benchmarks.engines`.

    python -m benchmarks.one_engine onnxruntime MODEL IMAGES.npy
    python -m benchmarks.one_engine openvino MODEL IMAGES.npy
    python -m benchmarks.one_engine nncf FLOAT.onnx IMAGES.npy INT8.xml

IMAGES.npy is float32 [count, channels, height, width], already normalised. Of standard input each
line is a request, a JSON list, and each is answered by a line of JSON on standard output:

    ["in_int8"]          layers computed in int8, as "36 of 37"
    ["answer", LOGITS]   writes the logits of all images, one by one, to a file; null
    ["time", RUNS]       milliseconds of so many images, one after another, in a list
    ["profile", RUNS]    OpenVINO only: each [layer, kernel, microseconds], the mean of so many

or by {"error": what it says}. `nncf` waits for nothing: it quantizes the float model, by the ranges
of all images, and ends.

When the clock starts the image already lies where the engine reads it, and the answer stays where
the engine writes it: so Python's part, several times longer in OpenVINO, counts as little as it
can. All runs on one thread, which is bound to no core.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import one_reader

COLD = 5
"""Images at the beginning that a profile leaves out."""


@dataclass(frozen=True)
class Loaded:
    """A model with the memory that it reads an image from, and writes logits to."""

    image: np.ndarray
    """float32 [1, channels, height, width]."""
    run: Callable[[], object]
    logits: np.ndarray
    """float32 [1, classes]."""

    def answer(self, images: np.ndarray) -> np.ndarray:
        """Return the logits of each image."""
        found = np.zeros([len(images), self.logits.shape[1]], np.float32)
        for row, image in zip(found, images, strict=True):
            self.image[0] = image
            self.run()
            row[:] = self.logits[0]
        return found

    def milliseconds(self, images: np.ndarray, runs: int) -> list[float]:
        """Return how long each of so many runs takes, from image to image."""
        return [self._timed(images[run % len(images)]) for run in range(runs)]

    def _timed(self, image: np.ndarray) -> float:
        self.image[0] = image
        start = time.perf_counter()
        self.run()
        return 1000 * (time.perf_counter() - start)


def main(how: str, path: Path, images_path: Path, *target: str) -> None:
    """Answer one request after another, or quantize."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries print what is no answer
    images = np.load(images_path, mmap_mode="r")
    if how == "nncf":
        quantize(path, images, Path(*target))
        return
    for line in sys.stdin:
        try:
            answer = reply(json.loads(line), how, path, images)
        except Exception as error:
            lines = str(error).strip().splitlines()
            answer = {"error": lines[-1] if lines else type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)


def reply(request: Sequence[Any], how: str, path: Path, images: np.ndarray) -> Any:
    """Return the answer to a request."""
    match request:
        case ["in_int8"]:
            return one_reader.LOADERS[how](path, how)[1]
        case ["answer", logits]:
            return np.save(logits, LOADERS[how](path, images.shape).answer(images))
        case ["time", runs]:
            return LOADERS[how](path, images.shape).milliseconds(images, runs)
        case ["profile", runs]:
            return profile_openvino(path, images[: COLD + runs])
    raise ValueError(f"{request}: no such request")


def load_onnxruntime(path: Path, shape: Sequence[int]) -> Loaded:
    """Load a file into ONNX Runtime, with memory bound to its input and output."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    given, made = session.get_inputs()[0], session.get_outputs()[0]
    image = np.zeros([1, *shape[1:]], np.float32)
    logits = np.zeros([1, made.shape[1]], np.float32)
    bound = session.io_binding()
    bound.bind_cpu_input(given.name, image)
    bound.bind_output(made.name, "cpu", 0, np.float32, logits.shape, logits.ctypes.data)
    return Loaded(image, lambda: session.run_with_iobinding(bound), logits)


def load_openvino(path: Path, shape: Sequence[int]) -> Loaded:
    """Load a file into OpenVINO, with memory bound to its input and output."""
    import openvino as ov

    compiled = compile_openvino(path, shape)
    image = np.zeros([1, *shape[1:]], np.float32)
    logits = np.zeros(list(compiled.output(0).shape), np.float32)
    request = compiled.create_infer_request()
    request.set_input_tensor(ov.Tensor(image, shared_memory=True))
    request.set_output_tensor(ov.Tensor(logits, shared_memory=True))
    return Loaded(image, request.infer, logits)


def compile_openvino(path: Path, shape: Sequence[int], **options: object) -> Any:
    """Return a model compiled for one image on one thread."""
    import openvino as ov

    core = ov.Core()
    model = core.read_model(path)
    model.reshape([1, *shape[1:]])
    # By default the thread is bound to a core, whatever else runs there, and what stays float is
    # bfloat16 on CPUs that have it.
    options |= {"INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
    return core.compile_model(model, "CPU", options | {"INFERENCE_PRECISION_HINT": "f32"})


def profile_openvino(path: Path, images: np.ndarray) -> list[tuple[str, str, float]]:
    """Return what OpenVINO executes for an image, by its own account.

    It tells only means of all since the model was compiled: those of the first images, for which
    memory is laid out, are taken off again.
    """
    request = compile_openvino(path, images.shape, PERF_COUNT=True).create_infer_request()
    accounts = {}
    for count, image in enumerate(images, start=1):
        request.infer([image[np.newaxis]])
        accounts[count] = request.get_profiling_info()
    counted = len(images) - COLD
    return [
        (
            each.node_name,
            f"{each.node_type}, {each.exec_type}",
            (len(images) * _microseconds(each) - COLD * _microseconds(cold)) / counted,
        )
        for cold, each in zip(accounts[COLD], accounts[len(images)], strict=True)
        if each.status == each.Status.EXECUTED
    ]


def _microseconds(layer: Any) -> float:
    return 1e6 * float(layer.real_time.total_seconds())


def quantize(path: Path, images: np.ndarray, target: Path) -> None:
    """Write what NNCF makes of a float model for OpenVINO."""
    import nncf
    import openvino as ov

    model = ov.Core().read_model(path)
    model.reshape([1, *images.shape[1:]])
    data = nncf.Dataset(images, lambda image: image[np.newaxis])
    quantized = nncf.quantize(model, data, subset_size=len(images))
    ov.save_model(quantized, target, compress_to_fp16=False)


LOADERS: dict[str, Callable[[Path, Sequence[int]], Loaded]] = {
    "onnxruntime": load_onnxruntime,
    "openvino": load_openvino,
}

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:])
