"""All that a GPU is asked, in one go of at most eight minutes, for docs/experiments.md.

    python -m benchmarks.on_a_gpu

runs the toy pipeline of the tests there, twice in float32 (whether bytes repeat) and once in
bfloat16, up to the int8 file, which `int8_export` compares with what was trained, layer by layer;
then `training_speed` with ResNet-50 at 224 px in float32, tf32 and bfloat16.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from slimline import files

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import toy

_STAGES = ("int8_export",)
_SPEED = (
    "--network", "resnet50", "--size", "224", "--batch", "128", "--steps", "60",
    "--images", "1000", "--rounds", "1",
)  # fmt: skip


def main() -> None:
    """Print what came out; without a GPU, say so."""
    if not torch.cuda.is_available():
        sys.exit("there is no GPU that torch can use: nothing to measure")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {os.cpu_count()} CPUs\n")
    with tempfile.TemporaryDirectory() as name:
        found = {
            title: pipeline(Path(name) / str(number), precision)
            for number, (title, precision) in enumerate(
                {"float32": "float32", "float32 again": "float32", "bfloat16": "bfloat16"}.items()
            )
        }
    same = found["float32"] == found["float32 again"]
    print(f"two runs in float32 have {'the same' if same else 'other'} bytes\n")
    workers = str(min(16, os.cpu_count() or 1))
    for precision in ("float32", "tf32", "bfloat16"):
        command = [sys.executable, "-m", "benchmarks.training_speed", *_SPEED]
        subprocess.run([*command, "--precision", precision, "--workers", workers], check=True)
        print()


def pipeline(folder: Path, precision: str) -> dict[str, str]:
    """Run the toy pipeline; return the hashes of its models, and say how the product does."""
    begun = time.perf_counter()
    made = toy.make(folder)
    toy.set_params(made, {"training.step.precision": precision})
    toy.dvc(made, "repro", *_STAGES)
    product = files.read_json(made / "models" / "int8_export" / "model.json")
    print(f"toy pipeline in {precision}: {time.perf_counter() - begun:.0f} s")
    print(f"  parity: {product['parity']}")
    return toy.results(made)


if __name__ == "__main__":
    main()
