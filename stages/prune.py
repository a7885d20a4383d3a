"""Remove what matters least, step by step, recovering accuracy by fine-tuning."""

from pathlib import Path

from slimline import pruning
from slimline.core import artifacts, classifier, cli, data, params, runtime
from slimline.measure import hand_over
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
    model, images, unseen = artifacts.load(source), data.load(train), data.load(validation)
    teacher = artifacts.load(baseline) if settings.teacher == baseline.name else model
    outcome = rounds.prune(
        model,
        images,
        data.load(calibration),
        unseen,
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
        check=hand_over.checker(outcome.model, unseen, num_threads=run.num_threads),
    )


if __name__ == "__main__":
    cli.run(main)
