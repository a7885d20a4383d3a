"""Move the task onto an efficient backbone with a new head, taught by the baseline."""

from pathlib import Path

from slimline.core import artifacts, cli, data, params, runtime, transfer


def main(baseline: Path, train: Path, validation: Path, target: Path) -> None:
    """Write the model folder `target`."""
    settings = params.load("backbone_swap", transfer.BackboneSwapParams)
    run = params.load_run()
    runtime.start(run)
    images = data.load(train)
    model, history = transfer.swap(
        artifacts.load(baseline), images, data.load(validation), settings, seed=run.seed
    )
    artifacts.save(target, model, data=images, settings=settings, parent=baseline, history=history)


if __name__ == "__main__":
    cli.run(main)
