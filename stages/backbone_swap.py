"""Move the task onto an efficient backbone with a new head, taught by the baseline."""

from pathlib import Path

from slimline.core import artifacts, cli, data, params, runtime, transfer


def main(baseline: Path, train: Path, validation: Path, pretrained: Path, target: Path) -> None:
    """Write the model folder `target`."""
    settings = params.load("backbone_swap", transfer.BackboneSwapParams)
    run = params.load_run()
    runtime.start(run)
    images = data.load(train)
    model, history, phases = transfer.swap(
        artifacts.load(baseline),
        images,
        data.load(validation),
        settings,
        weights_folder=pretrained,
        seed=run.seed,
    )
    extra = {"phases": [each.to_dict() for each in phases]}
    artifacts.save(
        target,
        model,
        data=images,
        settings=settings,
        parent=baseline,
        history=history,
        extra=extra,
    )


if __name__ == "__main__":
    cli.run(main)
