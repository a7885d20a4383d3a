"""Fine-tune the pruned model with the rounding of int8 simulated in every layer."""

from pathlib import Path

from slimline import params, stage
from slimline.artifacts import description, model_folder
from slimline.data import split_files
from slimline.quantization import (
    int8_sensitivity_table,
    int8_times,
    mixed_precision,
    mixed_record,
    qat,
)
from slimline.quantization.mixed_precision import MixedTables
from slimline.quantization.settings import QatFinetuneParams
from slimline.training import checkpoints, determinism, processes
from slimline.training.settings import ProgressParams


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
    determinism.start(run)
    progress = params.load("progress", ProgressParams)
    saved = checkpoints.of_stage(
        "qat_finetune",
        [settings, run],
        minutes=progress.checkpoint_minutes,
        parents=[description.read(source).get("architecture")],
    )
    images, pruned = split_files.load(train), model_folder.load(source)
    tables = MixedTables(
        int8_sensitivity_table.read(sensitivity), int8_times.read(times), settings.recipe.selects
    )
    choices = mixed_precision.choose(pruned, settings.mixed, tables, section="qat_finetune")
    model, fitted = qat.finetune(
        pruned,
        images,
        split_files.load(calibration),
        split_files.load(validation),
        settings,
        seed=run.seed,
        checkpoints=saved,
        float_layers=mixed_record.float_layers(choices),
    )
    processes.end_others()
    model_folder.save(
        target,
        model,
        data=images,
        settings=qat.as_trained(settings),
        parent=source,
        history=fitted.rows,
        validation_top1=fitted.kept.top1,
        extra={"mixed": [each.to_dict() for each in choices]},
        with_onnx=False,
    )
    saved.remove()


if __name__ == "__main__":
    stage.run(processes.spread(main))
