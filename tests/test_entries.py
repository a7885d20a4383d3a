"""Every backbone on its whole way: a few entries in `make test`, all in `make test-all`."""

import copy
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import calibrated
import cuts
import entries
import pytest
import torch
import toy

from slimline import predict
from slimline.artifacts import description, model_folder
from slimline.data import split_files
from slimline.networks import classifier
from slimline.networks.classifier import Classifier
from slimline.networks.registry import REGISTRY
from slimline.networks.settings import ModelParams
from slimline.parity import float_parity
from slimline.parity.int8_parity import Parity
from slimline.pruning import cost
from slimline.quantization import device_export, int8_export, qat
from slimline.quantization.settings import ALL_INT8, QatFinetuneParams
from slimline.targets.executorch import installed as executorch
from slimline.targets.litert import installed as litert
from slimline.targets.onnxruntime import onnx_file, profile
from slimline.training import backbone_swap, loop
from slimline.training.settings import Distill, DistilledRecipe

NUM_IMAGES = 150
RECIPE = DistilledRecipe(
    epochs=2, batch_size=30, optimizer="adamw", learning_rate=0.003, weight_decay=0.0,
    label_smoothing=0.0, validations=1, augment=toy.NO_AUGMENT, step=toy.PLAIN_STEP, balance="none",
    select_by="auto", num_workers=0,
    distill=Distill(weight=0.0, temperature=2.0, last=1.0),
)  # fmt: skip
QAT = QatFinetuneParams(
    equalise=False, mixed=ALL_INT8,
    activation_type="uint8", weight_bits=7, weights="per_channel", calibrator="minmax",
    observe=0.5, recipe=RECIPE.model_copy(update={"epochs": 0.3}),
)  # fmt: skip
NOTHING_FLOAT: dict[str, list[str]] = {"mixed": []}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> split_files.Split:
    return toy.splits(tmp_path_factory.mktemp("raw"), validation_images=NUM_IMAGES)["validation"]


def needs(installed: ModuleType) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not all(installed.versions().values()), reason=f"{installed.LOCK} is not installed"
    )


@dataclass
class Journey:
    """What became of an entry: trained, pruned, quantized, each saved to a folder."""

    folder: Path
    built: Classifier
    trained: Classifier
    pruned: Classifier
    parity: Parity


@pytest.fixture(scope="module", params=entries.WHOLE_WAY)
def journey(
    request: pytest.FixtureRequest,
    split: split_files.Split,
    tmp_path_factory: pytest.TempPathFactory,
) -> Journey:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param)
    settings = ModelParams(
        backbone=request.param, pretrained="none", stem_stride=2, stem_kernel=3, activation="keep"
    )
    built = classifier.build(settings, split, folder)
    trained = built.with_network(copy.deepcopy(built.network))
    loop.fit(
        trained.network, split, split, RECIPE,
        preprocessing=split.preprocessing, seed=1, phase="test",
    )  # fmt: skip
    pruned = trained.with_network(copy.deepcopy(trained.network))
    cuts.cut(pruned.network, pruned.example, 0.3, multiple=8)
    model_folder.save(folder / "pruned", pruned, data=split, settings=settings)
    quantized, _ = qat.finetune(pruned, split, split, split, QAT, seed=1)
    model_folder.save(
        folder / "qat", quantized, data=split, settings=QAT, with_onnx=False, extra=NOTHING_FLOAT
    )
    reloaded = int8_export.load_prepared(folder / "qat")
    compared = int8_export.save(
        folder / "int8", reloaded, split, calibrated.EXPORT, parent=folder / "qat", num_threads=2
    )
    return Journey(folder, built, trained, pruned, compared)


def test_a_step_changes_what_is_not_frozen(journey: Journey) -> None:
    network = copy.deepcopy(journey.built.network)
    backbone = journey.built.architecture.backbone
    for unfreeze in (0, 1, 2, len(REGISTRY[backbone].stages), "all"):
        backbone_swap.freeze(network, backbone, unfreeze)
        trained = [name for name, each in network.named_parameters() if each.requires_grad]
        stages = (
            REGISTRY[backbone].stages
            if unfreeze == "all"
            else (REGISTRY[backbone].stages[len(REGISTRY[backbone].stages) - unfreeze :])
        )
        assert all(any(name.startswith(f"{stage}.") for name in trained) for stage in stages)
        assert any(name.startswith(REGISTRY[backbone].head) for name in trained)
        has_stem = f"{REGISTRY[backbone].stem}.weight" in trained
        assert has_stem == (unfreeze == "all")


def test_reloads_strictly_with_equal_outputs(journey: Journey, split: split_files.Split) -> None:
    expected = loop.predict(journey.pruned.network, split, split.preprocessing)
    reloaded = model_folder.load(journey.folder / "pruned")
    assert torch.equal(loop.predict(reloaded.network, split, split.preprocessing), expected)
    float_parity.check(reloaded, split, journey.folder / "pruned" / "model.onnx", num_threads=2)


def test_pruning_removes_work(journey: Journey) -> None:
    example = journey.built.example
    before, after = (
        cost.count(model.network, example) for model in (journey.trained, journey.pruned)
    )
    assert after.macs < 0.9 * before.macs
    assert after.params < before.params


def test_runs_in_int8_as_trained(journey: Journey) -> None:
    path = journey.folder / "int8" / "model.onnx"
    assert onnx_file.inspect(path).int8_share > 99
    operators = {each.operator for each in profile.kernels(path)}
    in_floats = {"Mul", "Add", "Sigmoid", "HardSigmoid", "HardSwish", "ReduceMean", "Relu"}
    assert not operators & in_floats
    assert journey.parity.agreement_written > 99
    assert journey.parity.largest_difference < 0.15 * journey.parity.spread
    # A large net learns nothing in ten steps: its answers are near ties, which a last bit turns.
    has_learnt = journey.parity.top1_fake_quant > 20
    assert journey.parity.agreement > 97 or not has_learnt


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("executorch", marks=needs(executorch)),
        pytest.param("litert", marks=needs(litert)),
    ],
)
def test_runs_in_another_runtime_as_trained(
    journey: Journey, split: split_files.Split, target: str
) -> None:
    folder = journey.folder / target
    compared = device_export.save(
        folder, journey.folder / "qat", split, calibrated.EXPORT, target=target, num_threads=2
    )
    content = description.read(folder)
    assert predict.load(folder).classes == split.classes
    # What ten steps taught has hard-swishes of nothing but 0, which LiteRT's kernel refuses.
    assert target == "litert" or content["not_delegated"] == []
    # Nor has it a layer of bytes whose answer is float.
    assert len(content["float_layers"]) == (1 if target == "litert" else 0)
    assert compared.largest_difference < 0.15 * compared.spread
    has_learnt = compared.top1_fake_quant > 20
    assert compared.agreement > 97 or not has_learnt
