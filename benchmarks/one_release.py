"""Times files on the ONNX Runtime of whichever interpreter runs this: it needs numpy beside it.

    python benchmarks/one_release.py float.onnx ours.onnx ...

Prints a line of JSON for each file: its layers, those that run in int8, and how many times faster
than the first file it is, as the median of ratios within blocks, one image on one thread.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

BLOCKS, RUNS = 30, 10
FLOAT, INT8 = {"Conv", "FusedConv", "Gemm", "FusedGemm"}, {"QLinearConv", "QGemm"}


def main(paths: list[str]) -> None:
    """Print the lines."""
    kinds = [executed(path) for path in paths]
    sessions = [load(path) for path in paths]
    times = [in_turns(sessions, np.random.default_rng(block)) for block in range(BLOCKS)]
    for position, (path, found) in enumerate(zip(paths, kinds, strict=True)):
        line = {
            "file": Path(path).stem,
            "layers": sum(kind in FLOAT | INT8 for kind in found),
            "in_int8": sum(kind in INT8 for kind in found),
            "faster": statistics.median(block[0] / block[position] for block in times),
        }
        print(json.dumps(line))


def load(path: str, profile: str = "") -> onnxruntime.InferenceSession:
    """Return a session of one thread, which writes what it executes if asked."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def executed(path: str) -> list[str]:
    """Return the operators that are executed for an image, by ONNX Runtime's own account."""
    with tempfile.TemporaryDirectory() as folder:
        session = load(path, str(Path(folder) / "profile"))
        session.run(None, {"input": image_for(session)})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return [each["args"]["op_name"] for each in events if each["name"].endswith("_kernel_time")]


def in_turns(
    sessions: list[onnxruntime.InferenceSession], chance: np.random.Generator
) -> list[float]:
    """Return the seconds that some runs of each take, in an order of chance."""
    order = chance.permutation(len(sessions)).tolist()
    found = {position: timed(sessions[position]) for position in order}
    return [found[position] for position in range(len(sessions))]


def timed(session: onnxruntime.InferenceSession) -> float:
    """Return the seconds that some runs take, after one that does not count."""
    image = image_for(session)
    session.run(None, {"input": image})
    start = time.perf_counter()
    for _ in range(RUNS):
        session.run(None, {"input": image})
    return time.perf_counter() - start


def image_for(session: onnxruntime.InferenceSession) -> np.ndarray:
    """Return an image of noise as a file takes it: raw pixels, or normalised floats."""
    (given,) = session.get_inputs()
    shape, noise = [1, *given.shape[1:]], np.random.default_rng(0)
    if given.type == "tensor(uint8)":
        return noise.integers(0, 256, shape).astype(np.uint8)
    return noise.standard_normal(shape).astype(np.float32)


if __name__ == "__main__":
    main(sys.argv[1:])
