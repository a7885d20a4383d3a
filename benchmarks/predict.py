"""How long does a person wait for an answer of `predict`? From the start of the process to its end.

    python -m benchmarks.predict

prints the median and the worst of `--runs` processes, in turns, beside what they cannot do without:
Python itself, and its imports of numpy, Pillow and onnxruntime. Needs models/int8_export
(`dvc repro int8_export`), or another folder with a model, given by `--model`.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--model", type=Path, default=Path("models/int8_export"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "photo.jpg"
        Image.radial_gradient("L").resize((640, 480)).convert("RGB").save(photo)
        times = measure(
            {
                "python": ["-c", "pass"],
                "the imports": ["-c", "import numpy, PIL.Image, onnxruntime"],
                "predict": ["-m", "slimline", "predict", str(arguments.model), str(photo)],
            },
            arguments.runs,
        )
    print("| process | median, s | worst, s |")
    print("|---|---:|---:|")
    for name, seconds in times.items():
        print(f"| {name} | {np.median(seconds):.2f} | {max(seconds):.2f} |")


def measure(commands: dict[str, list[str]], runs: int) -> dict[str, list[float]]:
    """Return the seconds of each process, without those of a first run, which reads the disk."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, check=True)
            times[name].append(time.perf_counter() - start)
    return {name: seconds[1:] for name, seconds in times.items()}


if __name__ == "__main__":
    main()
