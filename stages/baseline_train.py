"""Train the reference model that all others are compared with."""

from pathlib import Path

from slimline.core import artifacts, classifier, cli, data, params, runtime, training
from slimline.core.recipe import BaselineTrainParams
from slimline.measure import hand_over


def main(train: Path, validation: Path, pretrained: Path, target: Path) -> None:
    """Write the model folder `target`."""
    settings = params.load("baseline_train", BaselineTrainParams)
    run = params.load_run()
    runtime.start(run)
    images, unseen = data.load(train), data.load(validation)
    model = classifier.build(settings, images, pretrained)
    history = training.fit(
        model.network,
        images,
        unseen,
        settings.recipe,
        preprocessing=model.preprocessing,
        seed=run.seed,
        phase="train",
    )
    artifacts.save(
        target,
        model,
        data=images,
        settings=settings,
        history=history,
        check=hand_over.checker(model, unseen, num_threads=run.num_threads),
    )


if __name__ == "__main__":
    cli.run(main)
