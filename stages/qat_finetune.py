"""Fine-tune the pruned model with the rounding of int8 simulated in every layer."""

from pathlib import Path

from slimline.core import artifacts, cli, data, params, runtime
from slimline.quantization import qat
from slimline.quantization.settings import QatFinetuneParams


def main(source: Path, train: Path, calibration: Path, validation: Path, target: Path) -> None:
    """Write the model folder `target`: fake-quant weights, no .onnx."""
    settings = params.load("qat_finetune", QatFinetuneParams)
    run = params.load_run()
    runtime.start(run)
    images = data.load(train)
    model, history = qat.finetune(
        artifacts.load(source),
        images,
        data.load(calibration),
        data.load(validation),
        settings,
        seed=run.seed,
    )
    artifacts.save(
        target,
        model,
        data=images,
        settings=settings,
        parent=source,
        history=history,
        with_onnx=False,
    )


if __name__ == "__main__":
    cli.run(main)
