import copy
import itertools
from pathlib import Path

import kinds
import pytest
import torch
import toy

from slimline.artifacts import model_folder
from slimline.data import split_files
from slimline.errors import ParamsError
from slimline.networks import classifier
from slimline.networks.architecture import Activation, Architecture
from slimline.networks.settings import ModelParams
from slimline.training import backbone_swap, loop
from slimline.training.backbone_swap import BackboneSwapParams
from slimline.training.settings import Distill, Recipe, TransferRecipe

MODEL = {
    "backbone": "shufflenet_v2_x0_5", "pretrained": "none", "stem_stride": 2, "stem_kernel": 3,
    "activation": "keep",
}  # fmt: skip
RECIPE = {
    "epochs": 0.1, "batch_size": 20, "optimizer": "adamw", "learning_rate": 0.01,
    "weight_decay": 0.0, "label_smoothing": 0.0, "validations": 1, "augment": toy.NO_AUGMENT,
    "step": toy.PLAIN_STEP, "balance": "none", "select_by": "auto", "num_workers": 0,
}  # fmt: skip
TEACHER = Distill(weight=0.0, temperature=2.0, last=1.0)


def settings(**changes: object) -> BackboneSwapParams:
    rate = changes.pop("backbone_rate", 1.0)
    frozen, unfrozen = (
        RECIPE | {"epochs": changes.pop(key, RECIPE["epochs"])} for key in ("frozen", "unfrozen")
    )
    return BackboneSwapParams(
        **MODEL | {"unfreeze": "all"} | changes,
        frozen=Recipe(**frozen),
        unfrozen=TransferRecipe(**unfrozen, distill=TEACHER, backbone_rate=rate),
    )


@pytest.fixture(autouse=True)
def _every_state_is_better(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few steps are noise, and a start that they do not better would be kept."""
    count = itertools.count()
    monkeypatch.setattr(loop, "measure", lambda *_: loop.Score(next(count), 0.0, 0.0))


@pytest.fixture(scope="module", params=kinds.KINDS)
def parts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, split_files.Split]:
    return kinds.splits(request.param, tmp_path_factory.mktemp("raw"))


def swap(parts: dict[str, split_files.Split], folder: Path, **changes: object):
    torch.manual_seed(0)
    teacher = classifier.build(ModelParams(**MODEL), parts["train"], folder)
    torch.manual_seed(0)
    return backbone_swap.swap(
        teacher,
        parts["train"],
        parts["validation"],
        settings(**changes),
        weights_folder=folder,
        seed=1,
    )


def changed(model: classifier.Classifier) -> set[str]:
    """Return the parts whose weights are not those that they began with."""
    torch.manual_seed(0)
    fresh = classifier.make(model.architecture).state_dict()
    own = model.network.state_dict()
    return {name.split(".")[0] for name in own if not torch.equal(own[name], fresh[name])}


def test_what_each_phase_trained_is_recorded(
    parts: dict[str, split_files.Split], tmp_path: Path
) -> None:
    model, fitted, phases = swap(parts, tmp_path, unfreeze=2)
    assert [row.phase for row in fitted.rows] == ["frozen", "unfrozen"]
    assert [phase.parts for phase in phases] == [["fc"], ["stage4", "conv5", "fc"]]
    total = sum(weight.numel() for weight in model.network.parameters())
    assert all(each.trained_params + each.frozen_params == total for each in phases)
    assert changed(model) == {"stage4", "conv5", "fc"}
    model_folder.save(tmp_path / "m", model, data=parts["train"], settings=settings())
    assert all(weight.requires_grad for weight in model.network.parameters())


def test_all_is_unfrozen_unless_said_otherwise(
    parts: dict[str, split_files.Split], tmp_path: Path
) -> None:
    model, _, phases = swap(parts, tmp_path)
    assert phases[1].frozen_params == 0
    assert "conv1" in changed(model)


def test_the_head_alone(parts: dict[str, split_files.Split], tmp_path: Path) -> None:
    model, fitted, phases = swap(parts, tmp_path, unfreeze=0)
    assert [row.phase for row in fitted.rows] == ["frozen", "unfrozen"]
    assert [phase.parts for phase in phases] == [["fc"], ["fc"]]
    assert changed(model) == {"fc"}


@pytest.mark.parametrize(("phase", "other"), [("frozen", "unfrozen"), ("unfrozen", "frozen")])
def test_a_phase_of_no_epochs_is_left_out(
    parts: dict[str, split_files.Split], tmp_path: Path, phase: str, other: str
) -> None:
    model, fitted, phases = swap(parts, tmp_path, **{phase: 0})
    assert {row.phase for row in fitted.rows} == {each.name for each in phases} == {other}
    assert ("conv1" in changed(model)) == (other == "unfrozen")


KEPT = {"backbone": "keep", "stem_stride": "keep", "stem_kernel": "keep"}


@pytest.mark.parametrize(("epochs", "is_same"), [(0, True), (0.1, False)])
def test_the_baseline_itself_may_go_on(
    epochs: float, is_same: bool, parts: dict[str, split_files.Split], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    teacher = classifier.build(ModelParams(**MODEL), parts["train"], tmp_path)
    before = copy.deepcopy(teacher.network.state_dict())
    model, fitted, phases = backbone_swap.swap(
        teacher, parts["train"], parts["validation"],
        settings(**KEPT, frozen=0, unfrozen=epochs), weights_folder=tmp_path, seed=1,
    )  # fmt: skip
    assert model.architecture == teacher.architecture
    assert (
        {row.phase for row in fitted.rows}
        == {each.name for each in phases}
        == (set() if is_same else {"unfrozen"})
    )
    after = model.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before) == is_same
    own = teacher.network.state_dict()
    assert all(torch.equal(before[name], own[name]) for name in before), "the teacher stays"


def test_a_slow_backbone_moves_less(parts: dict[str, split_files.Split], tmp_path: Path) -> None:
    def moved(rate: float) -> float:
        model, _, _ = swap(parts, tmp_path, backbone_rate=rate)
        torch.manual_seed(0)
        fresh = classifier.make(model.architecture)
        stems = (each.get_parameter("conv1.0.weight") for each in (model.network, fresh))
        return float(torch.sub(*stems).detach().abs().mean())

    assert 0 < moved(0.01) < 0.1 * moved(1.0)


def test_more_stages_than_there_are(parts: dict[str, split_files.Split], tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="shufflenet_v2_x0_5 has 4 stages"):
        swap(parts, tmp_path, unfreeze=5)


@pytest.mark.parametrize("activation", ["relu", "relu6"])
@pytest.mark.parametrize("backbone", ["mobilenet_v3_small", "efficientnet_b0"])
def test_activations_are_exchanged_and_trained(backbone: str, activation: Activation) -> None:
    network = classifier.make(Architecture(backbone, 10, 1, 2, 3, activation))
    kinds = {type(each).__name__ for each in network.modules()}
    assert not kinds & {"Hardswish", "SiLU"}
    assert {"relu": "ReLU", "relu6": "ReLU6"}[activation] in kinds
    network(torch.randn(4, 1, 28, 28)).sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())
