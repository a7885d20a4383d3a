"""Measure what each layer costs in int8, if asked for: a table that mixed precision may go by."""

from pathlib import Path

from slimline.core import cli, data, params
from slimline.quantization import int8_scan
from slimline.quantization.settings import Int8SensitivityParams, QatFinetuneParams


def main(source: Path, calibration: Path, validation: Path, target: Path) -> None:
    """Write the table `target`; a header alone, and without loading torch, if none is asked for."""
    settings = params.load("int8_sensitivity", Int8SensitivityParams)
    if not settings.scan:
        int8_scan.write(target, [])
        return
    from slimline.core import artifacts, runtime
    from slimline.quantization import sensitivity

    runtime.start(params.load_run())
    rows = sensitivity.scan(
        artifacts.load(source),
        data.load(calibration),
        data.load(validation),
        params.load("qat_finetune", QatFinetuneParams),
        images=settings.images,
    )
    int8_scan.write(target, rows)


if __name__ == "__main__":
    cli.run(main)
