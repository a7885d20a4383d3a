"""Reads a folder of `benchmarks.readers` with whichever library the interpreter that runs it has.

    python benchmarks/one_reader.py FOLDER READER

READER is onnxruntime, ort-fixed, ort-runtime, openvino, opencv or tract.

Writes FOLDER/answers.bin, and prints a line of JSON: how many layers run in int8, and the median
times of one image of FOLDER/float.onnx and FOLDER/int8.onnx, in turns. All run on one thread, which
is bound to no core, as in `benchmarks.one_engine`. FOLDER/images.bin has normalised images; where
there is a FOLDER/pixels.bin, int8.onnx takes those.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

BLOCKS, RUNS = 20, 10
FLOAT, INT8 = {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul"}, {"QLinearConv", "QGemm"}

Answer = Callable[[np.ndarray], np.ndarray]


def main(folder: Path, how: str) -> None:
    """Write the answers, print the line."""
    images = {name: read_images(folder / f"{name}.onnx") for name in ("float", "int8")}
    load = LOADERS[how]
    (of_int8, in_int8), (of_float, _) = (
        load(folder / f"{name}.onnx", how) for name in ("int8", "float")
    )
    answers = np.concatenate([of_int8(image[np.newaxis]) for image in images["int8"]])
    answers.astype(np.float32).tofile(folder / "answers.bin")
    times: dict[str, list[float]] = {"float": [], "int8": []}
    for _ in range(BLOCKS):
        for name, answer in (("float", of_float), ("int8", of_int8)):
            image = images[name][:1]
            answer(image)
            for _ in range(RUNS):
                start = time.perf_counter()
                answer(image)
                times[name].append(1000 * (time.perf_counter() - start))
    middle = {f"{name}_ms": statistics.median(found) for name, found in times.items()}
    print(json.dumps({"in_int8": in_int8, **middle}))


def read_images(path: Path) -> np.ndarray:
    """Return what a file takes: normalised images, float32, or pixels, uint8."""
    shapes = json.loads((path.parent / "shape.json").read_text(encoding="utf-8"))
    if path.stem == "int8" and "pixels" in shapes:
        return np.fromfile(path.parent / "pixels.bin", np.uint8).reshape(shapes["pixels"])
    return np.fromfile(path.parent / "images.bin", np.float32).reshape(shapes["shape"])


def onnxruntime(path: Path, how: str) -> tuple[Answer, str]:
    """Load a file as it is, or converted to .ort first."""
    import onnxruntime as ort

    with tempfile.TemporaryDirectory() as scratch:
        if how != "onnxruntime":
            path = _converted(path, how.removeprefix("ort-").capitalize(), Path(scratch))
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 3
        options.enable_profiling = True
        if how == "ort-runtime":
            # Without it nothing that the converter stored is replayed, and all runs in float.
            options.add_session_config_entry("session.enable_saved_runtime_optimizations", "1")
        options.profile_file_prefix = str(Path(scratch) / "profile")
        providers = ["CPUExecutionProvider"]
        profiled = ort.InferenceSession(str(path), options, providers=providers)
        given = profiled.get_inputs()[0]
        kind = np.uint8 if given.type == "tensor(uint8)" else np.float32
        profiled.run(None, {given.name: np.zeros([1, *given.shape[1:]], kind)})
        events = json.loads(Path(profiled.end_profiling()).read_text(encoding="utf-8"))
        options.enable_profiling = False
        session = ort.InferenceSession(str(path), options, providers=providers)
    kinds = [each["args"]["op_name"] for each in events if each["name"].endswith("_kernel_time")]
    layers = sum(kind in FLOAT | INT8 for kind in kinds)
    told = f"{sum(kind in INT8 for kind in kinds)} of {layers}"
    return lambda image: session.run(None, {given.name: image})[0], told


def _converted(path: Path, style: str, scratch: Path) -> Path:
    """Return the .ort that ONNX Runtime's own converter makes of a file."""
    (scratch / path.name).write_bytes(path.read_bytes())
    command = [sys.executable, "-m", "onnxruntime.tools.convert_onnx_models_to_ort", str(scratch)]
    command += ["--optimization_style", style]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(scratch.glob("*.ort"))
    if ran.returncode or not found:
        raise SystemExit(ran.stderr.strip().splitlines()[-1])
    return found[0]


def openvino(path: Path, _how: str) -> tuple[Answer, str]:
    """Load a file for one image, on one thread."""
    import openvino as ov

    core = ov.Core()
    model = core.read_model(path)
    model.reshape([1, *(each.get_length() for each in list(model.input(0).partial_shape)[1:])])
    # By default the thread is bound to a core, whatever else runs there, and what stays float is
    # bfloat16 on CPUs that have it.
    options = {"INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
    compiled = core.compile_model(model, "CPU", options | {"INFERENCE_PRECISION_HINT": "f32"})
    told_of = [each.get_rt_info() for each in compiled.get_runtime_model().get_ops()]
    kinds = [
        each["runtimePrecision"].astype(str)
        for each in told_of
        if each["layerType"].astype(str) in {"Convolution", "FullyConnected", "MatMul"}
    ]
    told = f"{sum('8' in kind for kind in kinds)} of {len(kinds)}"
    return lambda image: compiled([image])[0].copy(), told


def opencv(path: Path, _how: str) -> tuple[Answer, str]:
    """Load a file; OpenCV does not tell what it computes in int8."""
    import cv2

    cv2.setNumThreads(1)
    network = cv2.dnn.readNetFromONNX(str(path))

    def answer(image: np.ndarray) -> np.ndarray:
        network.setInput(image)
        return network.forward().copy()

    return answer, "not told"


def tract(path: Path, _how: str) -> tuple[Answer, str]:
    """Load a file for one image; tract does not tell what it computes in int8."""
    import tract as rust

    images = read_images(path)
    kind = "u8" if images.dtype == np.uint8 else "f32"
    model = rust.onnx().load(path)
    model.set_input_fact(0, ",".join(map(str, [1, *images.shape[1:], kind])))
    runnable = model.into_model().into_runnable()
    return lambda image: runnable.run([image])[0].to_numpy().copy(), "not told"


LOADERS = {
    "onnxruntime": onnxruntime,
    "ort-fixed": onnxruntime,
    "ort-runtime": onnxruntime,
    "openvino": openvino,
    "opencv": opencv,
    "tract": tract,
}

if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
