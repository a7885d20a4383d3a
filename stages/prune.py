"""Remove what matters least, step by step, recovering accuracy by fine-tuning."""

from pathlib import Path

from slimline import pruning
from slimline.core import artifacts, classifier, cli, data, params, runtime
from slimline.pruning import rounds, scan, times
from slimline.pruning.choice import Tables


def main(
    source: Path,
    baseline: Path,
    train: Path,
    calibration: Path,
    validation: Path,
    sensitivity: Path,
    layer_times: Path,
    target: Path,
) -> None:
    """Write the model folder `target`, with rounds and layers in its `model.json`."""
    settings = pruning.load(params.PARAMS_PATH)
    run = params.load_run()
    runtime.start(run)
    model, images = artifacts.load(source), data.load(train)
    teacher = artifacts.load(baseline) if settings.teacher == baseline.name else model
    outcome = rounds.prune(
        model,
        images,
        data.load(calibration),
        data.load(validation),
        settings,
        teacher=classifier.adapted(teacher, model.preprocessing),
        tables=Tables(scan.read(sensitivity), times.read(layer_times)),
        seed=run.seed,
    )
    artifacts.save(
        target,
        outcome.model,
        data=images,
        settings=settings,
        parent=source,
        history=outcome.history,
        extra=outcome.account(),
    )


if __name__ == "__main__":
    cli.run(main)
