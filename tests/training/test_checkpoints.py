"""A training that is interrupted anywhere ends with the bytes of one that is not."""

import copy
import importlib
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy
from torch import nn

from slimline import params
from slimline.artifacts import description
from slimline.data.preprocessing import Preprocessing
from slimline.data.split_files import Split
from slimline.networks.architecture import Architecture
from slimline.networks.classifier import Classifier
from slimline.pruning import layer_times, sensitivity_table
from slimline.quantization import qat
from slimline.quantization.settings import ALL_INT8, QatFinetuneParams
from slimline.training import checkpoints, determinism, loop, run_state
from slimline.training.checkpoints import Checkpoints
from slimline.training.settings import Distill, TransferRecipe

FRAME = Preprocessing(8, 8, 1, mean=(0.5,), std=(0.5,))
RECIPE = TransferRecipe(
    epochs=1.2, batch_size=20, optimizer="sgd", learning_rate=0.05, weight_decay=0.01,
    label_smoothing=0.1, validations=3, balance="none", select_by="auto", num_workers=0,
    augment=toy.NO_AUGMENT.model_copy(update={"shift": 1, "mixup": 0.5}), backbone_rate=0.5,
    step=toy.PLAIN_STEP,
    distill=Distill(weight=0.5, temperature=2.0, last=0.5),
)  # fmt: skip
STEPS = 12
"""Validation is measured after 4, 8 and 12; an epoch ends after 10."""


class KilledError(Exception):
    """Stands for `kill -9`: nothing is tidied up behind it."""


def split(count: int, seed: int) -> Split:
    """Bright and dark images, with noise."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    images = generator.integers(0, 156, (count, 8, 8, 1)) + 100 * labels.reshape(-1, 1, 1, 1)
    return Split(images.astype(np.uint8), labels, ["dark", "bright"], FRAME, str(seed))


TRAIN, VALIDATION = split(200, 0), split(60, 1)


def network() -> nn.Sequential:
    """All that has a state: BatchNorm, dropout, pruned weights, convolutions of each layout."""
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.Dropout(0.3),
        nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(32, 2),
    )  # fmt: skip
    with torch.no_grad():
        layers[6].weight[2:4] = 0
    return layers


def fit(
    folder: Path, *, stop_after: int = 0, recipe: TransferRecipe = RECIPE, **more: Any
) -> tuple[nn.Module, loop.Fitted]:
    """Train as a process does that has just begun, with a checkpoint after every step."""

    def stop(step: int, _: int) -> None:
        if step == stop_after:
            raise KilledError

    model, teacher = network(), network().eval()
    own = Checkpoints(folder, {}, minutes=1e-9)
    torch.manual_seed(1)
    done = loop.fit(
        model, TRAIN, VALIDATION, recipe, preprocessing=FRAME, seed=1, phase="test", head="8.",
        teacher=teacher, after_step=stop, checkpoints=own, **more,
    )  # fmt: skip
    return model, done


def same(one: nn.Module, two: nn.Module) -> bool:
    others = two.state_dict()
    return all(torch.equal(tensor, others[name]) for name, tensor in one.state_dict().items())


def kept(folder: Path) -> list[int]:
    """The steps of the checkpoints that are there."""
    return sorted(int(path.name.partition(".")[0]) for path in folder.rglob("*.safetensors"))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("stops", [[1], [5, 9], [4, 8, 12]])
def test_interrupted_and_gone_on(tmp_path: Path, optimizer: str, stops: list[int]) -> None:
    recipe = RECIPE.model_copy(update={"optimizer": optimizer})
    whole, expected = fit(tmp_path / "whole", recipe=recipe)
    random_after = torch.rand(3)
    for stop in stops:
        with pytest.raises(KilledError):
            fit(tmp_path / "parts", stop_after=stop, recipe=recipe)
    model, done = fit(tmp_path / "parts", recipe=recipe)
    assert torch.equal(torch.rand(3), random_after), "what comes after goes on alike"
    assert same(whole, model)
    assert repr(done) == repr(expected)


def test_an_average_of_the_weights_goes_on(tmp_path: Path) -> None:
    step = toy.PLAIN_STEP.model_copy(
        update={"ema": 0.9, "accumulate": 2, "clip_norm": 1.0, "decay_all": False}
    )
    recipe = RECIPE.model_copy(update={"step": step})
    whole, _ = fit(tmp_path / "whole", recipe=recipe)
    with pytest.raises(KilledError):
        fit(tmp_path / "parts", stop_after=7, recipe=recipe)
    assert same(whole, fit(tmp_path / "parts", recipe=recipe)[0])


def test_a_training_that_had_ended_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, expected = fit(tmp_path)
    assert kept(tmp_path) == [STEPS]
    monkeypatch.setattr(loop, "measure", None)
    model, done = fit(tmp_path, stop_after=STEPS)
    assert same(whole, model)
    assert repr(done) == repr(expected)
    assert "test: an interrupted training is done" in capsys.readouterr().out


def test_at_most_two_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KilledError):
        fit(tmp_path, stop_after=6)
    assert kept(tmp_path) == [4, 5]
    with pytest.raises(KilledError):
        fit(tmp_path, stop_after=6)
    assert "test: an interrupted training goes on from step 5 of 12" in capsys.readouterr().out
    assert not [path for path in tmp_path.rglob("*") if path.suffix not in {"", ".safetensors"}]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def make_unreadable(path: Path) -> None:
    """Root, as which tests may run, reads all files but those that are none."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "damaged"),
    [(flip, 1), (halve, 1), (make_unreadable, 1), (lambda path: path.write_bytes(b""), 2)],
)
def test_damaged_ones_are_passed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Any, damaged: int
) -> None:
    whole, _ = fit(tmp_path / "whole")
    with pytest.raises(KilledError):
        fit(tmp_path / "parts", stop_after=6)
    for path in sorted((tmp_path / "parts").rglob("*.safetensors"), reverse=True)[:damaged]:
        damage(path)
    model, _ = fit(tmp_path / "parts")
    told = capsys.readouterr().out
    assert told.count("passed over") == damaged
    assert ("goes on from step 4 of 12" in told) == (damaged == 1)
    assert same(whole, model)


@pytest.mark.parametrize(
    "change",
    [{"recipe": RECIPE.model_copy(update={"learning_rate": 0.06})}, {"start": loop.UNTRAINED}],
)
def test_of_another_training_nothing_is_taken(
    tmp_path: Path, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KilledError):
        fit(tmp_path, stop_after=6)
    other, _ = fit(tmp_path, **change)
    told = capsys.readouterr().out
    assert "with other settings, code, data or packages" in told
    assert "goes on" not in told
    assert same(other, fit(tmp_path / "alone", **change)[0])
    assert kept(tmp_path / "alone") == [STEPS]
    assert len(list(tmp_path.glob("test-*"))) == 1, "the first that is written removes the others"


def test_fewer_workers_go_on_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KilledError):
        fit(tmp_path, stop_after=6, recipe=RECIPE.model_copy(update={"num_workers": 1}))
    fit(tmp_path)
    assert "goes on from step 5" in capsys.readouterr().out


def test_a_disk_that_is_full_ends_no_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    model, _ = fit(tmp_path / "file" / "folder")
    assert "no checkpoint could be written" in capsys.readouterr().out
    assert same(model, fit(tmp_path / "whole")[0])


def test_what_a_full_disk_took_half_of_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(_: Any, path: Path, **__: Any) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", write_half)
    fit(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_that_someone_left_there_ends_no_training(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").touch()
    fit(tmp_path)
    assert kept(tmp_path) == [STEPS]
    assert (tmp_path / ".DS_Store").exists()


def test_no_minutes_no_checkpoints(tmp_path: Path) -> None:
    own = Checkpoints(tmp_path / "none", {}, minutes=0)
    loop.fit(
        network(), TRAIN, VALIDATION, RECIPE, preprocessing=FRAME, seed=1, phase="test",
        teacher=network(), checkpoints=own,
    )  # fmt: skip
    assert not (tmp_path / "none").exists()


def test_a_stage_has_a_folder_and_its_code_settings_and_machine_decide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(toy.ROOT)
    run = params.load_run()
    found = checkpoints.of_stage("prune", [run], minutes=5)
    assert found._folder == Path(".slimline/checkpoints/prune")
    decided = found._decided_by
    assert "slimline/pruning/rounds.py" in decided["code"]
    assert decided["settings"] == [run.model_dump()]
    assert decided["machine"]["torch"] == torch.__version__
    assert found.of_training("round 1", {}) is not None


def test_the_architectures_of_the_models_before_decide_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An activation is no tensor: of both baselines all weights are alike."""
    monkeypatch.chdir(toy.ROOT)
    folders = set()
    for activation in ("keep", "relu"):
        found = checkpoints.of_stage("prune", [], minutes=5, parents=[{"activation": activation}])
        own = found.of_training("round 1", {})
        assert own is not None
        folders.add(own._folder)
    assert len(folders) == 2


@pytest.mark.parametrize(
    ("stage", "folders"), [("backbone_swap", "a"), ("prune", "ab"), ("qat_finetune", "a")]
)
def test_each_stage_says_which_models_it_reads(
    stage: str, folders: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AskedError(Exception):
        pass

    def of_stage(*_: Any, parents: list[str], **__: Any) -> None:
        raise AskedError(*parents)

    monkeypatch.chdir(toy.ROOT)
    monkeypatch.setattr(checkpoints, "of_stage", of_stage)
    monkeypatch.setattr(description, "read", lambda folder: {"architecture": str(folder)})
    monkeypatch.setattr(determinism, "start", lambda _: None)
    monkeypatch.setattr(sensitivity_table, "read", lambda *_: None)
    monkeypatch.setattr(layer_times, "read", lambda *_: None)
    main = importlib.import_module(f"stages.{stage}").main
    paths = "abcdefgh"[: len(inspect.signature(main).parameters)]
    with pytest.raises(AskedError) as asked:
        main(*map(Path, paths))
    assert asked.value.args == tuple(folders)


def test_losses_cost_no_object_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are joined now and then, which changes no mean, nor where a checkpoint was between."""
    whole, expected = fit(tmp_path / "whole")
    monkeypatch.setattr(run_state, "_JOINED", 2)
    model, done = fit(tmp_path / "joined")
    assert same(whole, model)
    assert repr(done) == repr(expected)
    for stop in (3, 7):
        with pytest.raises(KilledError):
            fit(tmp_path / "parts", stop_after=stop)
    assert repr(fit(tmp_path / "parts")[1]) == repr(expected)


def test_so_many_losses_are_a_few_tensors() -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10_000)
    run = run_state.RunState(model, optimizer, schedule, steps=10_000, by="top1")
    for step in range(5500):
        run.add_loss(torch.tensor(float(step)))
    assert len(run.losses) < 1000
    assert torch.cat(run.losses).tolist() == list(range(5500))
    assert run.last_loss == 5499


def quantized(folder: Path, monkeypatch: pytest.MonkeyPatch, *, stop_after: int = 0) -> nn.Module:
    """QAT of a small classifier, ranges frozen after the sixth of ten steps."""
    freezer = qat._range_freezer

    def stopping(model: Any, observe: float) -> Any:
        def after(step: int, steps: int) -> None:
            freezer(model, observe)(step, steps)
            if step == stop_after:
                raise KilledError

        return after

    float_network = nn.Sequential(*[each for each in network() if not isinstance(each, nn.Dropout)])
    model = Classifier(float_network.eval(), Architecture("any", 2, 1, 1, 3), TRAIN.classes, FRAME)
    settings = QatFinetuneParams(
        activation_type="uint8", weight_bits=7, weights="per_channel", calibrator="minmax",
        equalise=False, mixed=ALL_INT8, observe=0.6,
        recipe=RECIPE.model_copy(update={"epochs": 1.0, "validations": 2}),
    )  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(qat, "_range_freezer", stopping)
        tuned, _ = qat.finetune(
            model, TRAIN, VALIDATION, VALIDATION, settings, seed=1,
            checkpoints=Checkpoints(folder, {}, minutes=1e-9),
        )  # fmt: skip
    return copy.deepcopy(tuned.network)


def test_ranges_of_qat_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = quantized(tmp_path / "whole", monkeypatch)
    for stop in (3, 6, 8):
        with pytest.raises(KilledError):
            quantized(tmp_path / "parts", monkeypatch, stop_after=stop)
    assert same(whole, quantized(tmp_path / "parts", monkeypatch))
