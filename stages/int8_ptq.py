"""Comparator: static post-training quantization of the pruned model."""

from pathlib import Path

from slimline import params, stage
from slimline.data import split_files
from slimline.quantization import int8_sensitivity_table, int8_times, ptq
from slimline.quantization.mixed_precision import MixedTables
from slimline.quantization.settings import Int8PtqParams
from slimline.training import determinism


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
    run = params.load_run()
    determinism.start(run)
    tried = ptq.save(
        target,
        source,
        split_files.load(calibration),
        split_files.load(validation),
        settings,
        MixedTables(int8_sensitivity_table.read(sensitivity), int8_times.read(times)),
        num_threads=run.num_threads,
    )
    for name, top1 in tried.items():
        print(f"{name}: top-1 on validation {top1:.2f} %")


if __name__ == "__main__":
    stage.run(main)
