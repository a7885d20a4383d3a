"""All sections of `params.yaml` together: the check of the whole file before anything runs."""

from pathlib import Path

from slimline import pruning
from slimline.core import params
from slimline.core.datasets import DataParams
from slimline.core.errors import ParamsError
from slimline.core.params import RunParams
from slimline.core.recipe import BaselineTrainParams
from slimline.core.transfer import BackboneSwapParams, check_unfreeze
from slimline.measure.latency import BenchmarkParams
from slimline.quantization.settings import (
    Int8ExportParams,
    Int8PtqParams,
    Int8SensitivityParams,
    QatFinetuneParams,
)
from slimline.report.gates import GatesParams


class ParamsFile(RunParams):
    """The whole file; each section is used by the stage of its name (`data` by prepare_data)."""

    data: DataParams
    baseline_train: BaselineTrainParams
    backbone_swap: BackboneSwapParams
    sensitivity: pruning.SensitivityParams
    prune: pruning.PruneParams
    int8_sensitivity: Int8SensitivityParams
    qat_finetune: QatFinetuneParams
    int8_export: Int8ExportParams
    int8_ptq: Int8PtqParams
    benchmark: BenchmarkParams
    gates: GatesParams


def check(path: Path) -> ParamsFile:
    """Return the whole file as one object.

    Raises:
        ParamsError: a key or value is wrong, or two sections contradict each other.
    """
    content = params.check(params.read(path), ParamsFile, path)
    check_unfreeze(content.backbone_swap, str(path))
    if content.prune.rates == "auto" and not content.sensitivity.shares:
        raise ParamsError(
            [
                f"{path}: prune.rates: auto needs a scan: give sensitivity.shares, as "
                "[0.2, 0.4, 0.6] (given [])"
            ]
        )
    for section, chosen in (("qat_finetune", content.qat_finetune), ("int8_ptq", content.int8_ptq)):
        if chosen.mixed.goes_by_scan and not content.int8_sensitivity.scan:
            raise ParamsError(
                [
                    f"{path}: {section}.mixed.max_drop: needs a scan unless it is 100: set "
                    f"int8_sensitivity.scan to true (given {chosen.mixed.max_drop:g})"
                ]
            )
    return content
