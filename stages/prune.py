"""Remove what matters least, step by step, recovering accuracy by fine-tuning."""

from pathlib import Path

from slimline import pruning
from slimline.core import artifacts, cli, data, params, runtime
from slimline.pruning import rounds


def main(source: Path, train: Path, validation: Path, target: Path) -> None:
    """Write the model folder `target`, with the rounds in its `model.json`."""
    settings = pruning.load(params.PARAMS_PATH)
    run = params.load_run()
    runtime.start(run)
    images = data.load(train)
    model, history, done = rounds.prune(
        artifacts.load(source), images, data.load(validation), settings, seed=run.seed
    )
    extra = {"rounds": [each.to_dict() for each in done]}
    artifacts.save(
        target, model, data=images, settings=settings, parent=source, history=history, extra=extra
    )


if __name__ == "__main__":
    cli.run(main)
