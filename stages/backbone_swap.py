"""Move the task onto an efficient backbone with a new head, distilled from the baseline."""

from pathlib import Path

from slimline import params, stage
from slimline.artifacts import description, model_folder
from slimline.data import split_files
from slimline.parity import float_parity
from slimline.training import backbone_swap, checkpoints, determinism, processes
from slimline.training.settings import ProgressParams


def main(baseline: Path, train: Path, validation: Path, pretrained: Path, target: Path) -> None:
    """Write the model folder `target`."""
    settings = params.load("backbone_swap", backbone_swap.BackboneSwapParams)
    run = params.load_run()
    determinism.start(run)
    progress = params.load("progress", ProgressParams)
    saved = checkpoints.of_stage(
        "backbone_swap",
        [settings, run],
        minutes=progress.checkpoint_minutes,
        parents=[description.read(baseline).get("architecture")],
    )
    images, unseen = split_files.load(train), split_files.load(validation)
    model, fitted, phases = backbone_swap.swap(
        model_folder.load(baseline),
        images,
        unseen,
        settings,
        weights_folder=pretrained,
        seed=run.seed,
        checkpoints=saved,
    )
    extra = {"phases": [each.to_dict() for each in phases]}
    processes.end_others()
    model_folder.save(
        target,
        model,
        data=images,
        settings=settings,
        parent=baseline,
        history=fitted.rows,
        validation_top1=fitted.kept.top1,
        extra=extra,
        check=float_parity.checker(model, unseen, num_threads=run.num_threads),
    )
    saved.remove()


if __name__ == "__main__":
    stage.run(processes.spread(main))
