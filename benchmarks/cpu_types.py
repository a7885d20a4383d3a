"""Are the bytes the same on another CPU type, if all libraries use AVX2 and nothing newer?

    python -m benchmarks.cpu_types            # kernels pinned to AVX2
    python -m benchmarks.cpu_types --as-is    # whatever each library chooses on this CPU

Runs the toy pipeline of the tests in a temporary folder, in a minute or two on an idle machine, and
prints the CPU and a hash of each artifact, for docs/experiments.md: whoever runs it on another CPU
compares. Wherever two of them agree in all lines, models could be compared by their bytes.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from slimline import processor
from slimline.measure import machine

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import toy

PINNED = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "AVX2",
}
"""Of torch's own kernels, of oneDNN and of MKL; ONNX Runtime has no such switch."""

STAGES = ("qat_finetune", "int8_export", "int8_ptq", "int8_dynamic", "evaluate")
_DIGITS = 16


def main() -> None:
    """Print a table of artifacts and hashes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--as-is", action="store_true", help="pin nothing")
    environment = {} if parser.parse_args().as_is else PINNED
    with tempfile.TemporaryDirectory() as folder:
        made = toy.make(Path(folder) / "toy")
        toy.dvc(made, "repro", *STAGES, environment=environment)
        found = toy.results(made)
    cpu = processor.cpu()
    pinned = ", ".join(f"{key}={value}" for key, value in environment.items()) or "nothing"
    print(f"{machine.name(cpu.model, ' '.join(cpu.flags))}; pinned: {pinned}\n")
    print("| artifact | SHA-256 begins |\n|---|---|")
    for name, sha in found.items():
        print(f"| `{name}` | {sha[:_DIGITS]} |")


if __name__ == "__main__":
    main()
