"""Recover the swapped model as pruning does with nothing cut, if asked for."""

from pathlib import Path

from slimline import files, params, stage
from slimline.artifacts import description
from slimline.pruning import registry
from slimline.pruning.settings import PruneControlParams


def main(
    pruned: Path,
    source: Path,
    baseline: Path,
    train: Path,
    calibration: Path,
    validation: Path,
    target: Path,
) -> None:
    """Write the model folder `target`; without a model, and without loading torch, if not asked."""
    if not params.load("prune_control", PruneControlParams).train:
        with files.replacing(target) as folder:
            files.write_json(folder / description.DESCRIPTION, {})
        return
    from slimline.training import processes

    processes.spread(_train)(pruned, source, baseline, train, calibration, validation, target)


def _train(pruned: Path, *folders: Path) -> None:
    from slimline.pruning import record, widths
    from stages import prune

    rounds = record.kept_rounds(description.read(pruned))
    settings = registry.load(params.PARAMS_PATH).as_control(rounds)
    prune.prune("prune_control", settings, widths.NO_TABLES, *folders)


if __name__ == "__main__":
    stage.run(main)
