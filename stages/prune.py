"""Remove what matters least, step by step, recovering accuracy by fine-tuning."""

from pathlib import Path

from slimline import params, stage
from slimline.artifacts import description, model_folder
from slimline.data import split_files
from slimline.networks import classifier, reparameterisation
from slimline.parity import float_parity
from slimline.pruning import layer_times, registry, rounds, sensitivity_table
from slimline.pruning.settings import PruneSettings
from slimline.pruning.widths import PruningTables
from slimline.training import checkpoints, determinism, processes
from slimline.training.settings import ProgressParams


def main(
    source: Path,
    baseline: Path,
    train: Path,
    calibration: Path,
    validation: Path,
    sensitivity: Path,
    times: Path,
    target: Path,
) -> None:
    """Write the model folder `target`, with rounds and layers in its `model.json`."""
    settings = registry.load(params.PARAMS_PATH)
    tables = PruningTables(
        sensitivity_table.read(sensitivity, settings.recover.selects), layer_times.read(times)
    )
    prune("prune", settings, tables, source, baseline, train, calibration, validation, target)


def prune(
    stage_name: str,
    settings: PruneSettings,
    tables: PruningTables,
    source: Path,
    baseline: Path,
    train: Path,
    calibration: Path,
    validation: Path,
    target: Path,
) -> None:
    """Write `target`, the pruned and recovered model of `source`, with checkpoints of the stage."""
    run = params.load_run()
    determinism.start(run)
    progress = params.load("progress", ProgressParams)
    saved = checkpoints.of_stage(
        stage_name,
        [settings, run],
        minutes=progress.checkpoint_minutes,
        parents=[description.read(each).get("architecture") for each in (source, baseline)],
    )
    model = reparameterisation.merged(model_folder.load(source))
    images, unseen = split_files.load(train), split_files.load(validation)
    teacher = model_folder.load(baseline) if settings.teacher == baseline.name else model
    outcome = rounds.prune(
        model,
        images,
        split_files.load(calibration),
        unseen,
        settings,
        teacher=classifier.adapted(teacher, model.preprocessing),
        tables=tables,
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
    stage.run(processes.spread(main))
