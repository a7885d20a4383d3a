"""Comparator: static post-training quantization of the pruned model."""

from pathlib import Path

from slimline import params, stage
from slimline.data import split_files
from slimline.quantization import int8_sensitivity_table, int8_times, ptq
from slimline.quantization.mixed_precision import MixedTables
from slimline.quantization.settings import Int8PtqParams
from slimline.training import determinism
from slimline.training.settings import SharedRecipe


def main(
    source: Path,
    calibration: Path,
    validation: Path,
    sensitivity: Path,
    times: Path,
    target: Path,
) -> None:
    """Write the model folder `target`; validation chooses, if settings leave the choice."""
    settings = params.load("int8_ptq", Int8PtqParams)
    by = params.load("training", SharedRecipe).selects
    run = params.load_run()
    determinism.start(run)
    tried = ptq.save(
        target,
        source,
        split_files.load(calibration),
        split_files.load(validation),
        settings,
        MixedTables(int8_sensitivity_table.read(sensitivity), int8_times.read(times), by),
        num_threads=run.num_threads,
    )
    for name, found in tried.items():
        recall = f", mean recall {found.mean_recall:.2f} %" if by == "mean_recall" else ""
        print(f"{name}: top-1 on validation {found.top1:.2f} %{recall}, loss {found.loss:.4f}")


if __name__ == "__main__":
    stage.run(main)
