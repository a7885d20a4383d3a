"""Recover the swapped model as pruning does with nothing cut, if asked for."""

from pathlib import Path

from slimline import files, params, stage
from slimline.artifacts import description
from slimline.pruning import registry
from slimline.pruning.settings import PruneControlParams


def main(
    source: Path, baseline: Path, train: Path, calibration: Path, validation: Path, target: Path
) -> None:
    """Write the model folder `target`; without a model, and without loading torch, if not asked."""
    if not params.load("prune_control", PruneControlParams).train:
        with files.replacing(target) as folder:
            files.write_json(folder / description.DESCRIPTION, {})
        return
    from slimline.training import processes

    processes.spread(_train)(source, baseline, train, calibration, validation, target)


def _train(*folders: Path) -> None:
    from slimline.pruning import widths
    from stages import prune

    settings = registry.load(params.PARAMS_PATH).as_control
    prune.prune("prune_control", settings, widths.NO_TABLES, *folders)


if __name__ == "__main__":
    stage.run(main)
