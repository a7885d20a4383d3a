"""Move the task onto an efficient backbone with a new head, taught by the baseline."""

from pathlib import Path

from slimline.core import artifacts, cli, data, params, runtime, transfer
from slimline.measure import hand_over


def main(baseline: Path, train: Path, validation: Path, pretrained: Path, target: Path) -> None:
    """Write the model folder `target`."""
    settings = params.load("backbone_swap", transfer.BackboneSwapParams)
    run = params.load_run()
    runtime.start(run)
    images, unseen = data.load(train), data.load(validation)
    model, history, phases = transfer.swap(
        artifacts.load(baseline),
        images,
        unseen,
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
        check=hand_over.checker(model, unseen, num_threads=run.num_threads),
    )


if __name__ == "__main__":
    cli.run(main)
