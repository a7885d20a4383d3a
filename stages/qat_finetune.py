"""Fine-tune the pruned model with the rounding of int8 simulated in every layer."""

from pathlib import Path

from slimline.core import artifacts, cli, data, params, runtime
from slimline.measure import int8_layers
from slimline.quantization import int8_scan, int8_times, mixed, qat
from slimline.quantization.mixed import Tables
from slimline.quantization.settings import QatFinetuneParams


def main(
    source: Path,
    train: Path,
    calibration: Path,
    validation: Path,
    sensitivity: Path,
    times: Path,
    target: Path,
) -> None:
    """Write the model folder `target`: fake-quant weights, no .onnx; layers in `model.json`."""
    settings = params.load("qat_finetune", QatFinetuneParams)
    run = params.load_run()
    runtime.start(run)
    images, pruned = data.load(train), artifacts.load(source)
    tables = Tables(int8_scan.read(sensitivity), int8_times.read(times))
    choices = mixed.choose(pruned, settings.mixed, tables, section="qat_finetune")
    model, history = qat.finetune(
        pruned,
        images,
        data.load(calibration),
        data.load(validation),
        settings,
        seed=run.seed,
        float_layers=int8_layers.float_layers(choices),
    )
    artifacts.save(
        target,
        model,
        data=images,
        settings=settings,
        parent=source,
        history=history,
        extra={"mixed": [each.to_dict() for each in choices]},
        with_onnx=False,
    )


if __name__ == "__main__":
    cli.run(main)
