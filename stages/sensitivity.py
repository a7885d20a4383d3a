"""Measure what each layer bears to lose, if asked for: a table that pruning may go by."""

from pathlib import Path

from slimline import params, stage
from slimline.data import split_files
from slimline.pruning import registry, sensitivity_table
from slimline.pruning.settings import SensitivityParams


def main(source: Path, calibration: Path, validation: Path, target: Path) -> None:
    """Write the table `target`; a header alone, and without loading torch, if none is asked for."""
    settings = params.load("sensitivity", SensitivityParams)
    if not settings.shares:
        sensitivity_table.write(target, [])
        return
    from slimline.artifacts import model_folder
    from slimline.networks import reparameterisation
    from slimline.pruning import sensitivity
    from slimline.training import determinism

    determinism.start(params.load_run())
    rows = sensitivity.scan(
        reparameterisation.merged(model_folder.load(source)),
        split_files.load(calibration),
        split_files.load(validation),
        settings,
        registry.load(params.PARAMS_PATH),
    )
    sensitivity_table.write(target, rows)


if __name__ == "__main__":
    stage.run(main)
