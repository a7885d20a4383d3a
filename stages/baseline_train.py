"""Train the reference model that all others are compared with."""

from pathlib import Path

from slimline import params, stage
from slimline.artifacts import model_folder
from slimline.data import split_files
from slimline.networks import classifier
from slimline.parity import float_parity
from slimline.training import checkpoints, determinism, loop, processes
from slimline.training.baseline_train import BaselineTrainParams
from slimline.training.scores import UNTRAINED
from slimline.training.settings import ProgressParams


def main(train: Path, validation: Path, pretrained: Path, target: Path) -> None:
    """Write the model folder `target`."""
    settings = params.load("baseline_train", BaselineTrainParams)
    run = params.load_run()
    determinism.start(run)
    progress = params.load("progress", ProgressParams)
    saved = checkpoints.of_stage(
        "baseline_train", [settings, run], minutes=progress.checkpoint_minutes
    )
    images, unseen = split_files.load(train), split_files.load(validation)
    model = classifier.build(settings, images, pretrained, unchanged=settings.recipe.epochs == 0)
    fitted = loop.fit(
        model.network,
        images,
        unseen,
        settings.recipe,
        preprocessing=model.preprocessing,
        seed=run.seed,
        phase="train",
        start=UNTRAINED if model.pretrained is None else None,
        checkpoints=saved,
        kept_zeros=model.given,
    )
    processes.end_others()
    model_folder.save(
        target,
        model,
        data=images,
        settings=settings,
        history=fitted.rows,
        validation_top1=fitted.kept.top1,
        check=float_parity.checker(model, unseen, num_threads=run.num_threads),
    )
    saved.remove()


if __name__ == "__main__":
    stage.run(processes.spread(main))
