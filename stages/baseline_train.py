"""Train the reference model that all others are compared with."""

from pathlib import Path

from slimline.core import artifacts, classifier, cli, data, params, runtime, training
from slimline.core.recipe import BaselineTrainParams


def main(train: Path, validation: Path, pretrained: Path, target: Path) -> None:
    """Write the model folder `target`."""
    settings = params.load("baseline_train", BaselineTrainParams)
    run = params.load_run()
    runtime.start(run)
    images = data.load(train)
    model = classifier.build(settings, images, pretrained)
    history = training.fit(
        model.network,
        images,
        data.load(validation),
        settings.recipe,
        preprocessing=model.preprocessing,
        seed=run.seed,
        phase="train",
    )
    artifacts.save(target, model, data=images, settings=settings, history=history)


if __name__ == "__main__":
    cli.run(main)
