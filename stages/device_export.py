"""Write the product for another runtime that `targets` names, checked against fake-quant."""

from pathlib import Path

from slimline import params, stage
from slimline.data import split_files
from slimline.quantization import device_export
from slimline.quantization.settings import Int8ExportParams
from slimline.training import determinism


def main(source: Path, calibration: Path, validation: Path, target: Path) -> None:
    """Write the folder `target`, whose name is that of the runtime."""
    settings = params.load("int8_export", Int8ExportParams)
    run = params.load_run()
    determinism.start(run)
    compared = device_export.save(
        target,
        source,
        split_files.load(validation),
        settings,
        target=target.name,
        num_threads=run.num_threads,
        calibration=split_files.load(calibration),
    )
    print(
        f"fake-quant and {target.name} agree on {compared.agreement:.2f} % of the validation "
        f"images; top-1 {compared.top1_fake_quant:.2f} % and {compared.top1_int8:.2f} %"
    )


if __name__ == "__main__":
    stage.run(main)
