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


def _train(
    source: Path, baseline: Path, train: Path, calibration: Path, validation: Path, target: Path
) -> None:
    from slimline.artifacts import model_folder
    from slimline.data import split_files
    from slimline.networks import classifier
    from slimline.parity import float_parity
    from slimline.pruning import rounds, widths
    from slimline.training import checkpoints, determinism, processes
    from slimline.training.settings import ProgressParams

    settings = registry.load(params.PARAMS_PATH).as_control
    run = params.load_run()
    determinism.start(run)
    progress = params.load("progress", ProgressParams)
    saved = checkpoints.of_stage(
        "prune_control", [settings, run], minutes=progress.checkpoint_minutes
    )
    model = model_folder.load(source)
    images, unseen = split_files.load(train), split_files.load(validation)
    teacher = model_folder.load(baseline) if settings.teacher == baseline.name else model
    outcome = rounds.prune(
        model,
        images,
        split_files.load(calibration),
        unseen,
        settings,
        teacher=classifier.adapted(teacher, model.preprocessing),
        tables=widths.NO_TABLES,
        seed=run.seed,
        checkpoints=saved,
    )
    processes.end_others()
    model_folder.save(
        target,
        outcome.model,
        data=images,
        settings=settings,
        parent=source,
        history=outcome.history,
        extra=outcome.account(),
        check=float_parity.checker(outcome.model, unseen, num_threads=run.num_threads),
    )
    saved.remove()


if __name__ == "__main__":
    stage.run(main)
