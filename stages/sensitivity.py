"""Measure what each layer bears to lose, if asked for: a table that pruning may go by."""

from pathlib import Path

from slimline import pruning
from slimline.core import cli, data, params
from slimline.pruning import SensitivityParams, scan


def main(source: Path, calibration: Path, validation: Path, target: Path) -> None:
    """Write the table `target`; a header alone, and without loading torch, if none is asked for."""
    settings = params.load("sensitivity", SensitivityParams)
    if not settings.shares:
        scan.write(target, [])
        return
    from slimline.core import artifacts, runtime
    from slimline.pruning import sensitivity

    runtime.start(params.load_run())
    rows = sensitivity.scan(
        artifacts.load(source),
        data.load(calibration),
        data.load(validation),
        settings,
        pruning.load(params.PARAMS_PATH),
    )
    scan.write(target, rows)


if __name__ == "__main__":
    cli.run(main)
