"""Measure what each layer costs in int8, if asked for: a table that mixed precision may go by."""

from pathlib import Path

from slimline import params, stage
from slimline.data import split_files
from slimline.quantization import int8_sensitivity_table
from slimline.quantization.settings import Int8SensitivityParams, QuantizationParams


def main(source: Path, calibration: Path, validation: Path, target: Path) -> None:
    """Write the table `target`; a header alone, and without loading torch, if none is asked for."""
    settings = params.load("int8_sensitivity", Int8SensitivityParams)
    if not settings.scan:
        int8_sensitivity_table.write(target, [])
        return
    from slimline.artifacts import model_folder
    from slimline.quantization import int8_sensitivity
    from slimline.training import determinism

    determinism.start(params.load_run())
    rows = int8_sensitivity.scan(
        model_folder.load(source),
        split_files.load(calibration),
        split_files.load(validation),
        params.load("quantization", QuantizationParams),
        images=settings.images,
    )
    int8_sensitivity_table.write(target, rows)


if __name__ == "__main__":
    stage.run(main)
