"""All sections of `params.yaml` together: the check of the whole file before anything runs."""

from collections.abc import Mapping
from functools import reduce
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field

from slimline import params
from slimline.artifacts import description
from slimline.data.splitting import DataParams
from slimline.errors import ParamsError
from slimline.measure.latency import BenchmarkParams
from slimline.networks import checkpoint_folder
from slimline.networks.registry import REGISTRY
from slimline.params import RunParams
from slimline.pruning.registry import METHODS
from slimline.pruning.settings import PruneControlParams, PruneSettings, SensitivityParams
from slimline.quantization.settings import (
    Int8ExportParams,
    Int8PtqParams,
    Int8SensitivityParams,
    QatFinetuneParams,
    QuantizationParams,
)
from slimline.report.gates import GatesParams
from slimline.search import space
from slimline.search.settings import SearchParams
from slimline.targets import device_runtimes
from slimline.targets.device_registry import DeviceTarget
from slimline.targets.onnxruntime import by_openvino
from slimline.training import watching
from slimline.training.backbone_swap import KEEP, BackboneSwapParams, check_unfreeze
from slimline.training.baseline_train import BaselineTrainParams
from slimline.training.settings import ProgressParams, Recipe, SharedRecipe, each_once

if TYPE_CHECKING:
    AnyMethod: TypeAlias = PruneSettings
else:
    _UNION = reduce(or_, (METHODS[name] for name in METHODS))
    AnyMethod = Annotated[_UNION, Field(discriminator="method")]


class ParamsFile(RunParams):
    """The whole file; each section is used by the stage of its name (`data` by prepare_data)."""

    targets: Annotated[list[DeviceTarget], AfterValidator(each_once)]
    """Runtimes other than ONNX Runtime that the product is written for as well; most need packages
    of their own (docs/devices.md)."""

    data: DataParams
    training: SharedRecipe
    progress: ProgressParams
    quantization: QuantizationParams
    baseline_train: BaselineTrainParams
    backbone_swap: BackboneSwapParams
    sensitivity: SensitivityParams
    prune: AnyMethod
    prune_control: PruneControlParams
    int8_sensitivity: Int8SensitivityParams
    qat_finetune: QatFinetuneParams
    int8_export: Int8ExportParams
    int8_ptq: Int8PtqParams
    benchmark: BenchmarkParams
    gates: GatesParams
    search: SearchParams


def check(path: Path) -> ParamsFile:
    """Return the whole file as one object.

    Raises:
        ParamsError: a key or value is wrong, or two sections contradict each other.
    """
    return check_content(params.read(path), path)


def check_content(written: Mapping[str, Any], path: Path) -> ParamsFile:
    """Return the content of a `params.yaml` as one object; `path` is how messages call it.

    Raises:
        ParamsError: as `check` does.
    """
    content = _checked(written, path)
    space.check(content.search, written, lambda changed: mistakes(changed, path), path)
    return content


def mistakes(written: Mapping[str, Any], path: Path) -> list[str]:
    """Return what is wrong with the content of a `params.yaml`, its space of a search apart."""
    try:
        _checked(written, path)
    except ParamsError as error:
        return str(error).splitlines()
    return []


def _checked(written: Mapping[str, Any], path: Path) -> ParamsFile:
    content = params.check(
        params.with_shared(written, path, written), ParamsFile, path, written=written
    )
    _check_stages(content, path)
    _check_untrained(content, path)
    _check_batches(content, path, written)
    prunes = bool(content.sensitivity.shares) or not content.prune.is_idle
    if prunes and content.data.calibration_images < 2:
        raise ParamsError(
            [
                f"{path}: data.calibration_images: pruning takes BatchNorm's statistics from them: "
                "2 or more (given 1)"
            ]
        )
    if content.prune.rates == "auto" and not content.sensitivity.shares:
        raise ParamsError(
            [
                f"{path}: prune.rates: auto needs a scan: give sensitivity.shares, as "
                "[0.2, 0.4, 0.6] (given [])"
            ]
        )
    for section, chosen in (("qat_finetune", content.qat_finetune), ("int8_ptq", content.int8_ptq)):
        if chosen.mixed.goes_by_scan and not content.int8_sensitivity.scan:
            key = params.where(f"{section}.mixed.max_drop", written)
            raise ParamsError(
                [
                    f"{path}: {key}: needs a scan unless it is 100: set int8_sensitivity.scan to "
                    f"true (given {chosen.mixed.max_drop:g})"
                ]
            )
    return content


def check_files(content: ParamsFile, pretrained: Path) -> None:
    """Look at the files and packages that the settings need, so that none lacks an hour later.

    Raises:
        PretrainedError: a checkpoint is missing, or something in its folder cannot be used.
        ArtifactError: the weights of a model folder are not those that its `model.json` describes.
        TargetError: packages that a target or runtime needs are not installed.
        ParamsError: nor is a tool that shall watch.
    """
    watching.require(content.progress.watchers)
    for target in content.targets:
        device_runtimes.RUNTIMES[target].require()
    if content.benchmark.runtimes:
        by_openvino.require(f"{params.PARAMS_PATH}: benchmark.runtimes: openvino")
    for section in (content.baseline_train, content.backbone_swap):
        if section.pretrained not in {"none", "imagenet"}:
            found = checkpoint_folder.read(pretrained, section.pretrained)
            if found.description is not None:
                description.check(found.weights)


def _check_stages(content: ParamsFile, path: Path) -> None:
    """Compare `unfreeze` with a network of the registry; of others the stages are not known yet.

    Raises:
        ParamsError: the network has fewer stages.
    """
    swap, baseline = content.backbone_swap, content.baseline_train.backbone
    if (baseline if swap.backbone == KEEP else swap.backbone) in REGISTRY:
        check_unfreeze(swap, baseline, str(path))


def _check_untrained(content: ParamsFile, path: Path) -> None:
    """Refuse a random network that nothing trains.

    Raises:
        ParamsError: a stage has no epochs, and no weights to begin with.
    """
    baseline, swap = content.baseline_train, content.backbone_swap
    untrained = {
        "baseline_train.recipe.epochs": baseline.pretrained == "none"
        and not baseline.recipe.epochs,
        "backbone_swap.unfrozen.epochs": swap.pretrained == "none"
        and swap.backbone != KEEP
        and swap.is_idle,
    }
    mistakes = [
        f"{path}: {key}: must be above 0 with {key.partition('.')[0]}.pretrained none, since the "
        "network would stay random; name a checkpoint under data/raw/pretrained to use it as it is "
        "(given 0)"
        for key, is_untrained in untrained.items()
        if is_untrained
    ]
    if mistakes:
        raise ParamsError(mistakes)


def _check_batches(content: ParamsFile, path: Path, written: Mapping[str, Any]) -> None:
    """Refuse batches of which a part would have fewer than two images: BatchNorm needs them.

    Processes share a batch, and each cuts its share into parts (`step.accumulate`).

    Raises:
        ParamsError: one line per batch size.
    """
    recipes = {
        "baseline_train.recipe": content.baseline_train.recipe,
        "backbone_swap.frozen": content.backbone_swap.frozen,
        "backbone_swap.unfrozen": content.backbone_swap.unfrozen,
        "prune.recover": content.prune.recover,
        "qat_finetune.recipe": content.qat_finetune.recipe,
    }
    small = {
        params.where(f"{place}.batch_size", written): recipe
        for place, recipe in recipes.items()
        if recipe.batch_size < 2 * content.processes * recipe.step.accumulate
    }
    if small:
        raise ParamsError(
            [_too_small(path, key, recipe, content.processes) for key, recipe in small.items()]
        )


def _too_small(path: Path, key: str, recipe: Recipe, processes: int) -> str:
    parts = recipe.step.accumulate
    uses = [f"shared by {processes} processes"] * (processes > 1)
    uses += [f"cut into {parts} parts by step.accumulate"] * (parts > 1)
    return (
        f"{path}: {key}: is {' and '.join(uses)}, and each needs two images at least: "
        f"{2 * processes * parts} or more (given {recipe.batch_size})"
    )


def for_editors() -> dict[str, Any]:
    """Return the JSON Schema of `params.yaml`, in which places may leave out what they share."""
    content = ParamsFile.model_json_schema()
    content["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    known: dict[str, Any] = content["$defs"]
    for shared in (SharedRecipe, QuantizationParams):
        keys = set(shared.model_fields)
        for name, definition in list(known.items()):
            if name != shared.__name__ and keys <= set(definition.get("properties", {})):
                _relax(definition, keys, known)
    return content


def _relax(definition: dict[str, Any], keys: set[str], known: dict[str, Any]) -> None:
    """Let a definition do without some keys, and their sections without any of their own."""
    definition["required"] = [key for key in definition["required"] if key not in keys]
    for key in keys:
        given = definition["properties"][key]
        if "$ref" in given:
            whole = given["$ref"].removeprefix("#/$defs/")
            part = {key: value for key, value in known[whole].items() if key != "required"}
            known[f"PartOf{whole}"] = part
            given["$ref"] = f"#/$defs/PartOf{whole}"
