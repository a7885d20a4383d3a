"""Build both networks and send images through, so that no mistake is found after hours."""

from pathlib import Path

from slimline import feasibility, files, params, stage
from slimline.data import split_files
from slimline.feasibility import Settings
from slimline.pruning import registry
from slimline.quantization.settings import Int8ExportParams, Int8PtqParams, QatFinetuneParams
from slimline.training import determinism
from slimline.training.backbone_swap import BackboneSwapParams
from slimline.training.baseline_train import BaselineTrainParams


def main(train: Path, pretrained: Path, marker: Path) -> None:
    """Check; the marker's content is constant, so that nothing else runs again."""
    qat = params.load("qat_finetune", QatFinetuneParams)
    settings = Settings(
        params.load("baseline_train", BaselineTrainParams),
        params.load("backbone_swap", BackboneSwapParams),
        registry.load(params.PARAMS_PATH),
        qat,
        params.load("int8_ptq", Int8PtqParams),
        params.load("int8_export", Int8ExportParams),
        params.read(params.PARAMS_PATH)["targets"],
    )
    determinism.start(params.load_run())
    feasibility.check(settings, split_files.load(train), pretrained)
    files.write_text(marker, "ok\n")


if __name__ == "__main__":
    stage.run(main)
