"""Takes a network with random weights the whole way, small, and says of each step whether it holds.

Nothing of it depends on data or on a training that succeeded: whether a step can be done at all is
a property of the network. What a failed step leaves is what the next one takes, as far as there is
anything to take. BatchNorm has the statistics of the images wherever weights changed: without them
many deep random networks answer the same whatever the image, and no comparison finds anything.
"""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from slimline import params
from slimline.artifacts import description, model_folder
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.doctor.finding import Finding
from slimline.errors import NetworkError, ParamsError, SlimlineError
from slimline.measure import interleaved
from slimline.networks import backbones, classifier, reparameterisation, untrained
from slimline.networks.settings import ModelParams
from slimline.parity import float_parity
from slimline.pruning import (
    batchnorm_statistics,
    cost,
    groups,
    registry,
    whole_layers,
    widths,
)
from slimline.pruning.layer_times import LayerTimes
from slimline.pruning.methods.structured_magnitude import StructuredMagnitude
from slimline.pruning.sensitivity_table import SensitivityScan
from slimline.pruning.settings import Target
from slimline.pruning.widths import Progress, PruningTables
from slimline.quantization import float_work, int8_export, qat, read_back
from slimline.quantization.settings import ALL_INT8, Int8ExportParams, QatFinetuneParams
from slimline.targets.runtimes import Deployable
from slimline.training import loop, scores
from slimline.training.augmentation import Augment

if TYPE_CHECKING:
    from slimline.networks.classifier import Classifier
    from slimline.pruning.cost import Cost
    from slimline.pruning.groups import Plan
    from slimline.pruning.settings import PruneSettings

FLOAT, INT8 = "float", "int8"
"""Folders of the two files that are timed."""

_IMAGES, _BATCH = 48, 8
_SIZES = (64, 96, 224, 240, 256)
"""Pixels that are tried in order where none are asked for."""
_KEPT_MACS = 0.685
"""Share of the multiply-accumulates that pruning shall leave; it is met to 2 %."""
_MULTIPLES = (8, 4, 1)
"""What widths are rounded to; a smaller one where the target is not met with a larger."""
_BLOCKS, _RUNS, _WARM_UP = 12, 6, 3
"""Turns of each file, images of a turn that count, and images that do not."""
_NAMED = 8
"""Names in a sentence."""
_LEAST_VARIES = 3.0
"""Percent of their spread that logits differ by from image to image, where a fault would show."""
_OPTIONAL = {
    "prunes": "prune.threshold: 0 and prune.recover.epochs: 0 leave it whole, and the rest goes on"
}
"""What can be left out of a run, and how."""
_NO_SETTING = (
    "; no setting of params.yaml changes that: docs/zoo.md has networks that go through, and one "
    "in own/ can be written otherwise there"
)

_SLOWER = (
    ": int8 pays in bytes alone; `python -m benchmarks.int8_times` measures which layers of the "
    "pruned model gain nothing, and quantization.mixed.only_faster: true leaves those in float "
    "(docs/int8.md)"
)
"""What can be done where int8 takes more time than float."""

_NO_AUGMENT = Augment(crop=1.0, flip=False, shift=0, color=0, randaugment=0, mixup=0, cutmix=0)
_NO_TABLES = PruningTables(SensitivityScan([]), LayerTimes("none", {}, []))


@dataclass(frozen=True)
class _Told:
    """What a step found, as a sentence and as figures."""

    text: str
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass
class _Patient:
    """A network on its way."""

    name: str
    splits: Sequence[Split]
    """The same images in other sizes; the first that the network takes goes with it."""
    in_own_size: Callable[[int], Split] | None
    """Makes them in the size that the network asks for; None where one size is asked for."""
    folder: Path
    model: Classifier | None = None
    """The float model that goes on: the network, then its narrower form in place of it."""
    float_file: Path | None = None
    prepared: Classifier | None = None
    int8_file: Path | None = None
    settings: ModelParams = field(init=False)

    def __post_init__(self) -> None:
        self.settings = ModelParams(
            backbone=self.name,
            pretrained="none",
            stem_stride="keep",
            stem_kernel="keep",
            activation="keep",
        )

    @property
    def split(self) -> Split:
        """The images that it is looked at with."""
        return self.splits[0]


def check_settings() -> None:
    """Look at what the steps take of `params.yaml`, of which each would tell with its advice.

    Raises:
        ParamsError: the file is missing, or a value is wrong.
    """
    _qat_settings()
    _export_settings()
    _prune_settings(_MULTIPLES[0])


def examine(
    name: str,
    folder: Path,
    *,
    size: int | None,
    channels: int,
    num_classes: int,
    steps: Sequence[str] = (),
) -> Iterator[Finding]:
    """Yield how each step went, as soon as it has; `name` is one that `backbone` takes.

    `folder` is where models are written: the .onnx files stand below `FLOAT` and `INT8`. `size` is
    pixels of a square image; None is the smallest of a few that the network takes. `steps` are
    names of those that are wanted, all where there are none.
    """
    torch.manual_seed(0)
    sizes = _SIZES if size is None else (size,)
    noise = partial(_noise, channels=channels, num_classes=num_classes)
    splits = [noise(each) for each in sizes]
    patient = _Patient(name, splits, noise if size is None else None, folder)
    for step, (needs, run) in _STEPS.items():
        if steps and step not in steps:
            continue
        if any(getattr(patient, each) is None for each in needs):
            yield Finding(step, None, "not tried: it needs what failed before")
            continue
        yield _tried(step, partial(run, patient))


def _tried(step: str, run: Callable[[], _Told]) -> Finding:
    try:
        # Training tells how it goes, to whom waits for it.
        with contextlib.redirect_stdout(io.StringIO()):
            found = run()
        return Finding(step, True, found.text, found.figures)
    except SlimlineError as error:
        return Finding(step, False, f"{error}{_advice(step)}")
    # A network that nobody has seen may break anything in torch, torchao or ONNX Runtime: to find
    # that out is what this is for, and it is told.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        return Finding(step, False, f"{type(error).__name__}: {reason}{_advice(step)}")


def _advice(step: str) -> str:
    """Return what a user can do about a step that failed, after a semicolon."""
    if step in _OPTIONAL:
        return f"; {_OPTIONAL[step]}"
    return "" if step == "builds" else _NO_SETTING


def _noise(size: int, channels: int, num_classes: int) -> Split:
    """Return images of noise, coarse enough that convolutions see something."""
    generator = np.random.default_rng(0)
    coarse = generator.integers(0, 256, (_IMAGES, -(-size // 4), -(-size // 4), channels))
    images = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, :size, :size].astype(np.uint8)
    labels = generator.integers(0, num_classes, _IMAGES)
    frame = Preprocessing(size, size, channels, mean=(0.5,) * channels, std=(0.25,) * channels)
    return Split(images, labels, [f"class {each}" for each in range(num_classes)], frame)


def _build(patient: _Patient) -> _Told:
    entry = backbones.find(patient.name)
    if patient.in_own_size and entry.image_size and entry.image_size not in _SIZES:
        patient.splits = [*patient.splits, patient.in_own_size(entry.image_size)]
    while patient.model is None:
        try:
            patient.model = classifier.build(patient.settings, patient.split, patient.folder)
        except NetworkError:
            if len(patient.splits) == 1:
                raise
            patient.splits = patient.splits[1:]
    untrained.wake(patient.model.network)
    batchnorm_statistics.recompute(patient.model, patient.split)
    found = cost.count(patient.model.network, patient.model.example)
    size, stems = patient.split.preprocessing.height, " and ".join(entry.stems)
    head = ", ".join(entry.classifying) or entry.head.removesuffix(".")
    text = (
        f"{found.params / 1e6:.2f} M parameters, {found.macs_m:.1f} M MACs; stem {stems}, "
        f"head {head}, {len(entry.stages)} stages; images of {size} pixels"
    )
    return _Told(text, {"px": size, "params_m": found.params / 1e6, "macs_m": found.macs_m})


def _train(patient: _Patient) -> _Told:
    model, recipe = patient.model, _qat_settings().recipe
    assert model is not None
    fitted = loop.fit(
        model.network, patient.split, patient.split, recipe,
        preprocessing=model.preprocessing, seed=1, phase="doctor", start=scores.UNTRAINED,
    )  # fmt: skip
    batchnorm_statistics.recompute(model, patient.split)
    return _Told(f"{fitted.rows[-1].step} steps, loss {fitted.rows[-1].train_loss:.2f}")


def _prune(patient: _Patient) -> _Told:
    assert patient.model is not None
    model = reparameterisation.merged(patient.model)
    narrow = model.with_network(copy.deepcopy(model.network))
    before = cost.count(model.network, model.example)
    plan = _plan(narrow, patient.split, before)
    predicted = plan.predict()
    narrow = groups.carry_out(plan, narrow)
    after = cost.count(narrow.network, narrow.example)
    if predicted.macs != after.macs:
        raise NetworkError(f"has {after.macs} MACs, where {predicted.macs} were predicted")
    batchnorm_statistics.recompute(narrow, patient.split)
    patient.model = narrow
    whole = plan.whole
    kept = f"; whole stay {whole_layers.told(whole, most=_NAMED)}" if whole else ""
    left = 100 * after.macs / before.macs
    return _Told(f"to {left:.0f} % of the MACs{kept}", {"macs_left": left, "whole": len(whole)})


def _plan(model: Classifier, split: Split, before: Cost) -> Plan:
    """Return a plan that leaves the wanted share of the multiply-accumulates.

    Raises:
        NetworkError: nothing of the network can be narrowed, or not to that share.
    """
    for multiple in _MULTIPLES:
        settings = _prune_settings(multiple)
        plan = settings.survey(model, split)
        if not plan.groups:
            whole = whole_layers.told(plan.whole, most=_NAMED)
            raise NetworkError(f"no layer of it can be narrowed; whole stay {whole}")
        try:
            widths.choose(plan, settings, Progress(1, 1, before), _NO_TABLES)
        except ParamsError:
            continue
        return plan
    least = 100 * widths.least(plan).macs / before.macs
    if least < 100 * _KEPT_MACS:
        raise NetworkError(
            f"has no widths that leave {100 * _KEPT_MACS:.0f} % of its MACs to within 2 %: what "
            "goes, goes in larger steps; prune.target can be another share"
        )
    whole = whole_layers.told(plan.whole, most=_NAMED)
    raise NetworkError(
        f"cannot be narrowed to {100 * _KEPT_MACS:.0f} % of its MACs: with every layer that can be "
        f"cut at one channel {least:.0f} % are left; whole stay {whole}"
    )


def _reload(patient: _Patient) -> _Told:
    model = patient.model
    assert model is not None
    folder = patient.folder / "reloaded"
    model_folder.save(folder, model, data=patient.split, settings=patient.settings, with_onnx=False)
    again = model_folder.load(folder)
    # In one order of bytes, as all stages measure: by another one kernels may round otherwise.
    wanted, found = (
        loop.predict(each.network, patient.split, each.preprocessing) for each in (model, again)
    )
    if not torch.equal(wanted, found):
        raise NetworkError("answers otherwise when it is read back from its folder")
    return _Told("bit for bit, from weights and model.json")


def _float_parity(patient: _Patient) -> _Told:
    model = patient.model
    assert model is not None
    model.network.eval()
    model_folder.save(
        patient.folder / FLOAT,
        model,
        data=patient.split,
        settings=patient.settings,
        check=float_parity.checker(model, patient.split, num_threads=1),
    )
    patient.float_file = patient.folder / FLOAT / description.ONNX
    return _Told("ONNX Runtime answers as torch does, any number of images at once")


def _quantize(patient: _Patient) -> _Told:
    model, settings = patient.model, _qat_settings()
    assert model is not None
    split = patient.split
    trained, fitted = qat.finetune(model, split, split, split, settings, seed=1)
    patient.prepared = read_back.through(patient.folder / "qat", trained, settings, data=split)
    return _Told(f"{fitted.rows[-1].step} steps with the rounding of int8 simulated")


def _export(patient: _Patient) -> _Told:
    assert patient.prepared is not None
    compared = int8_export.save(
        patient.folder / INT8,
        patient.prepared,
        patient.split,
        _export_settings(),
        parent=patient.folder / "qat",
        num_threads=1,
    )
    patient.int8_file = patient.folder / INT8 / description.ONNX
    written, images = Deployable(patient.int8_file), patient.split
    found = written.inspect()
    logits = written.predict(images.images, images.preprocessing, num_threads=1)
    varies = 100 * float(np.ptp(logits, axis=0).max()) / compared.spread
    share = 100 * compared.largest_difference / compared.spread
    text = (
        f"{found.int8_share:.0f} % of the MACs in int8, {found.num_bytes / 1024:.0f} KiB; logits "
        f"differ from fake-quant by {share:.2f} % of their spread at most"
    )
    if not varies >= _LEAST_VARIES:
        text += (
            f", and from image to image by no more than {varies:.2f} %: with random weights such a "
            "network hardly sees its image, so that this comparison finds little"
        )
    in_float = description.read(patient.folder / INT8).get("in_float", {})
    if in_float.get("layers"):
        text += f"; quantized, yet in float: {', '.join(in_float['layers'][:_NAMED])}"
    if in_float.get("products_share"):
        text += (
            f"; {in_float['products_share']:.0f} % are products of two computed matrices, as in "
            "attention, which stay in float"
        )
    if in_float.get("others"):
        text += f"; {float_work.told(in_float['others'])}"
    return _Told(text, {"int8_macs": found.int8_share, "differs": share, "varies": varies})


def _time(patient: _Patient) -> _Told:
    assert patient.float_file is not None
    assert patient.int8_file is not None
    models = {
        name: partial(Deployable(path).load, num_threads=1)
        for name, path in (("float", patient.float_file), ("int8", patient.int8_file))
    }
    images = patient.split.preprocessing.normalise(patient.split.images[:_BATCH])
    order = np.random.default_rng()
    blocks = [
        interleaved.block(
            models, [each[np.newaxis] for each in images], order, runs=_RUNS, warm_up=_WARM_UP
        )
        for _ in range(_BLOCKS)
    ]
    medians = {name: [float(np.median(each[name])) for each in blocks] for name in models}
    ratios = sorted(f / i for f, i in zip(medians["float"], medians["int8"], strict=True))
    faster = float(np.median(ratios))
    text = (
        f"{faster:.2f} times as fast as its float file on one thread here "
        f"({ratios[1]:.2f} to {ratios[-2]:.2f} over {_BLOCKS} turns)"
    )
    if faster < 1:
        text += _SLOWER
    return _Told(text, {"faster": faster})


_STEPS: dict[str, tuple[Sequence[str], Callable[[_Patient], _Told]]] = {
    "builds": ((), _build),
    "trains": (("model",), _train),
    "prunes": (("model",), _prune),
    "reloads": (("model",), _reload),
    "exports": (("model",), _float_parity),
    "quantizes": (("model",), _quantize),
    "int8 file": (("prepared",), _export),
    "gains": (("float_file", "int8_file"), _time),
}
"""What each step needs of the ones before it, and how it is done."""


def _qat_settings() -> QatFinetuneParams:
    """Return section `qat_finetune` of `params.yaml` for two steps, every layer in int8."""
    written = params.load("qat_finetune", QatFinetuneParams)
    recipe = written.recipe
    short = recipe.model_copy(
        update={
            "epochs": 2 * _BATCH / _IMAGES,
            "batch_size": _BATCH,
            "validations": 1,
            "num_workers": 0,
            "augment": _NO_AUGMENT,
            "balance": "none",
            "distill": recipe.distill.model_copy(update={"weight": 0.0}),
        }
    )
    return written.model_copy(update={"recipe": short, "mixed": ALL_INT8})


def _export_settings() -> Int8ExportParams:
    return params.load("int8_export", Int8ExportParams)


def _prune_settings(multiple: int) -> PruneSettings:
    """Return section `prune` with the plainest method that removes channels, and a target."""
    written = registry.load(params.PARAMS_PATH)
    changes = {
        "method": "structured_magnitude",
        "threshold": 0.0,
        "unit": "layer_share",
        "target": Target(macs=_KEPT_MACS),
        "rates": "uniform",
        "layers": {},
        "steps": 1,
        "channel_multiple": multiple,
    }
    values = {name: getattr(written, name) for name in type(written).model_fields}
    return StructuredMagnitude.model_construct(**values | changes)
