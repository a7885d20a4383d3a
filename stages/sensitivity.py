"""Measure what each layer bears to lose, if asked for: a table that pruning may go by."""

from pathlib import Path

from slimline import params, pruning, stage
from slimline.data import splits
from slimline.pruning import SensitivityParams, sensitivity_table


def main(source: Path, calibration: Path, validation: Path, target: Path) -> None:
    """Write the table `target`; a header alone, and without loading torch, if none is asked for."""
    settings = params.load("sensitivity", SensitivityParams)
    if not settings.shares:
        sensitivity_table.write(target, [])
        return
    from slimline.artifacts import model_folder
    from slimline.pruning import sensitivity
    from slimline.training import determinism

    determinism.start(params.load_run())
    rows = sensitivity.scan(
        model_folder.load(source),
        splits.load(calibration),
        splits.load(validation),
        settings,
        pruning.load(params.PARAMS_PATH),
    )
    sensitivity_table.write(target, rows)


if __name__ == "__main__":
    stage.run(main)
