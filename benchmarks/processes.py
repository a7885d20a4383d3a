"""Do two processes train as well as one? Five seeds each, at toy size.

    python -m benchmarks.processes --seeds 5

trains the baseline of the toy pipeline of the tests, by its own stage and command, with one process
and with two for each seed, and prints accuracy on validation, and whether the difference of the
means is within the noise of seeds (Welch's t-test, 95 %). Each process has one thread.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from slimline import files

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import toy

_COMMAND = (
    "stages.baseline_train", "data/prepared/train", "data/prepared/validation",
    "data/raw/pretrained", "models/baseline_train",
)  # fmt: skip
_T95 = {3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228}
"""Two-sided quantiles of Student's t by degrees of freedom."""


def main() -> None:
    """Print a table, and what it says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=float, default=4)
    given = parser.parse_args()
    found: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        folder = toy.make(Path(name) / "toy")
        toy.dvc(folder, "repro", "prepare_data")
        print("| seed | 1 process, top-1 % | 2 processes, top-1 % |\n|---:|---:|---:|")
        for seed in range(1, given.seeds + 1):
            for count, reached in found.items():
                reached.append(train(folder, seed, count, given.epochs))
            print(f"| {seed} | {found[1][-1]:.2f} | {found[2][-1]:.2f} |", flush=True)
    means = [statistics.mean(each) for each in found.values()]
    errors = [statistics.variance(each) / len(each) for each in found.values()]
    error = sum(errors) ** 0.5
    freedom = sum(errors) ** 2 / sum(each**2 / (given.seeds - 1) for each in errors)
    bound = _T95[max(3, min(10, int(freedom)))] * error
    is_noise = abs(means[1] - means[0]) <= bound
    print(
        f"\nmeans {means[0]:.2f} and {means[1]:.2f}, difference {means[1] - means[0]:+.2f} +- "
        f"{bound:.2f} points: {'within' if is_noise else 'beyond'} the noise of seeds"
    )


def train(folder: Path, seed: int, processes: int, epochs: float) -> float:
    """Return the top-1 on validation, percent, of a baseline."""
    toy.set_params(
        folder,
        {
            "seed": seed,
            "processes": processes,
            "baseline_train.backbone": "resnet8_w48",
            "baseline_train.recipe.epochs": epochs,
            "baseline_train.recipe.validations": 2,
        },
    )
    subprocess.run(
        [sys.executable, "-m", *_COMMAND],
        cwd=folder,
        env=toy.of_stages(),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    description = files.read_json(folder / "models" / "baseline_train" / "model.json")
    return float(description["validation_top1"])


if __name__ == "__main__":
    main()
