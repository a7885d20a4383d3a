"""What does the teacher bring? The default swap with and without one, all else alike.

    python -m benchmarks.distillation --seeds 1 2

prints validation accuracy per setting and seed. Needs data/prepared and models/baseline_train
(`dvc repro baseline_train`).
"""

import argparse
import time
from pathlib import Path

from slimline import params
from slimline.artifacts import model_folder
from slimline.data import split_files
from slimline.training import backbone_swap, determinism
from slimline.training.backbone_swap import BackboneSwapParams
from slimline.training.settings import Distill

PREPARED, BASELINE = Path("data/prepared"), Path("models/baseline_train")
TEACHERS = [
    Distill(weight=0.0, temperature=2.0, last=1.0),
    Distill(weight=0.5, temperature=2.0, last=0.15),
    Distill(weight=0.5, temperature=2.0, last=1.0),
    Distill(weight=0.5, temperature=4.0, last=1.0),
]


def main() -> None:
    """Print a line of Markdown per run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    settings = params.load("backbone_swap", BackboneSwapParams)
    train, validation = (split_files.load(PREPARED / name) for name in ("train", "validation"))
    print("| weight | temperature | last | seed | validation top-1 | seconds |")
    print("|---:|---:|---:|---:|---:|---:|")
    for seed in parser.parse_args().seeds:
        for teacher in TEACHERS:
            determinism.start(params.load_run().model_copy(update={"seed": seed}))
            taught = settings.unfrozen.model_copy(update={"distill": teacher})
            start = time.perf_counter()
            _, fitted, _ = backbone_swap.swap(
                model_folder.load(BASELINE),
                train,
                validation,
                settings.model_copy(update={"unfrozen": taught}),
                weights_folder=Path("data/raw/pretrained"),
                seed=seed,
            )
            seconds = time.perf_counter() - start
            best = max(row.validation_top1 for row in fitted.rows)
            print(
                f"| {teacher.weight} | {teacher.temperature} | {teacher.last} | {seed} "
                f"| {best:.2f} | {seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
