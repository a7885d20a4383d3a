"""Comparator: static post-training quantization of the pruned model."""

from pathlib import Path

from slimline.core import cli, data, params, runtime
from slimline.quantization import int8_scan, int8_times, ptq
from slimline.quantization.mixed import Tables
from slimline.quantization.settings import Int8PtqParams


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
    runtime.start(run)
    tried = ptq.save(
        target,
        source,
        data.load(calibration),
        data.load(validation),
        settings,
        Tables(int8_scan.read(sensitivity), int8_times.read(times)),
        num_threads=run.num_threads,
    )
    for name, top1 in tried.items():
        print(f"{name}: top-1 on validation {top1:.2f} %")


if __name__ == "__main__":
    cli.run(main)
