import copy
from math import nan
from typing import Any

import cuts
import kinds
import pytest
import torch
from torch import nn

from slimline.data.split_files import Split
from slimline.networks import classifier
from slimline.networks.classifier import Classifier
from slimline.networks.settings import ModelParams
from slimline.pruning import rounds
from slimline.pruning.rounds import Outcome
from slimline.pruning.settings import threshold_of_round
from slimline.training import loop


@pytest.fixture(scope="module", params=kinds.KINDS)
def splits(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Split]:
    return kinds.splits(request.param, tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def model(splits: dict[str, Split], tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    torch.manual_seed(0)
    settings = ModelParams(
        backbone="resnet8_w48", pretrained="none", stem_stride=2, stem_kernel=3,
        activation="keep",
    )  # fmt: skip
    built = classifier.build(settings, splits["train"], tmp_path_factory.mktemp("none"))
    recipe = cuts.RECOVER.model_copy(update={"epochs": 1.5, "learning_rate": 0.01})
    loop.fit(
        built.network, splits["train"], splits["validation"], recipe,
        preprocessing=built.preprocessing, seed=1, phase="test",
    )  # fmt: skip
    return built


def prune(model: Classifier, splits: dict[str, Split], method: str, **changes: Any) -> Outcome:
    return rounds.prune(
        model, splits["train"], splits["calibration"], splits["validation"],
        cuts.settings(method, **changes), teacher=model.network, tables=cuts.NO_TABLES, seed=1,
    )  # fmt: skip


def same(one: nn.Module, two: nn.Module) -> bool:
    tensors = two.state_dict()
    return all(torch.equal(value, tensors[key]) for key, value in one.state_dict().items())


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_shares_add_up_to_the_threshold(steps: int) -> None:
    settings = cuts.settings("magnitude", threshold=0.4, steps=steps)
    assert (1 - threshold_of_round(settings, 1)) ** steps == pytest.approx(0.6)


@pytest.mark.parametrize("method", cuts.METHODS)
def test_threshold_0_cuts_nothing_and_recovers_as_any_other(
    model: Classifier, splits: dict[str, Split], method: str
) -> None:
    """The control: what of a pruned model's accuracy comes of more training."""
    outcome = prune(model, splits, method, threshold=0.0, steps=2)
    assert [each.macs_m for each in outcome.rounds] == [outcome.rounds[0].macs_m] * 3
    assert outcome.rounds[-1].sparsity == outcome.rounds[0].sparsity
    assert {row.phase for row in outcome.history} == {"round 1", "round 2"}
    assert not same(outcome.model.network, model.network)


@pytest.mark.parametrize("method", ["structured_magnitude", "taylor"])
def test_rounds_remove_channels_and_tell_what_they_did(
    model: Classifier, splits: dict[str, Split], method: str
) -> None:
    before = copy.deepcopy(model.network)
    outcome = prune(model, splits, method, threshold=0.4, steps=2)
    macs = [each.macs_m for each in outcome.rounds]
    assert [each.number for each in outcome.rounds] == [0, 1, 2]
    assert macs[0] > macs[1] > macs[2]
    assert all(each.top1_recovered >= each.top1_cut for each in outcome.rounds[1:])
    assert {row.phase for row in outcome.history} == {"round 1", "round 2"}
    assert sum(each.macs_after for each in outcome.layers) == pytest.approx(1e6 * macs[2])
    assert sum(each.macs_before for each in outcome.layers) == pytest.approx(1e6 * macs[0])
    assert same(before, model.network), "the model given is left alone"


def test_zeros_survive_later_rounds(model: Classifier, splits: dict[str, Split]) -> None:
    outcome = prune(model, splits, "magnitude", target={"params": 0.3}, steps=2)
    found = outcome.rounds[-1]
    assert outcome.rounds[1].sparsity < found.sparsity
    assert found.macs_m == outcome.rounds[0].macs_m
    first = outcome.rounds[0]
    left = first.params - found.sparsity / 100 * sum(
        each.weight.numel()
        for each in model.network.modules()
        if isinstance(each, nn.Conv2d | nn.Linear)
    )
    assert left == pytest.approx(0.3 * first.params, rel=0.02)


def test_a_round_that_loses_too_much_is_undone_and_the_last(
    model: Classifier, splits: dict[str, Split]
) -> None:
    none = cuts.RECOVER.model_copy(update={"epochs": 0.01, "learning_rate": 1e-9})
    outcome = prune(
        model, splits, "structured_magnitude", threshold=0.85, steps=3, max_drop=1.0, recover=none
    )
    *before, last = [each.is_kept for each in outcome.rounds]
    assert all(before)
    assert not last
    assert outcome.rounds[-1].top1_recovered < outcome.rounds[0].top1_recovered - 1
    assert same(outcome.model.network, model.network) == (len(before) == 1)


def test_recovery_never_ends_below_the_cut(
    model: Classifier, splits: dict[str, Split], capsys: pytest.CaptureFixture[str]
) -> None:
    """At too high a rate it would, and the cut would be thrown away for it."""
    steep = cuts.RECOVER.model_copy(update={"learning_rate": 3.0})
    outcome = prune(model, splits, "structured_magnitude", threshold=0.1, recover=steep)
    cut, done = outcome.rounds[1].top1_cut, outcome.rounds[1]
    assert done.top1_recovered == cut > max(row.validation_top1 for row in outcome.history)
    frame = model.preprocessing
    assert loop.top1(outcome.model.network, splits["validation"], frame) == cut
    assert "round 1: training gains nothing" in capsys.readouterr().out
    undone = prune(
        model, splits, "structured_magnitude", threshold=0.85, recover=steep, max_drop=0.0
    )
    assert not undone.rounds[1].is_kept
    assert "undone; recovery gained nothing" in capsys.readouterr().out


def test_a_drop_is_one_of_mean_recall_where_that_selects(
    model: Classifier, splits: dict[str, Split]
) -> None:
    by_recall = cuts.RECOVER.model_copy(update={"select_by": "mean_recall"})
    outcome = prune(model, splits, "structured_magnitude", threshold=0.1, recover=by_recall)
    done = outcome.rounds[1]
    assert done.judged_by == "mean_recall"
    assert done.judged == (done.mean_recall_cut, done.mean_recall_recovered)


def test_a_round_that_ends_in_nan_is_undone(
    model: Classifier, splits: dict[str, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = loop.Score(nan, nan, nan)
    monkeypatch.setattr(loop, "fit", lambda *_, **__: loop.Fitted([], lost, lost))
    outcome = prune(model, splits, "structured_magnitude", threshold=0.4)
    assert [each.is_kept for each in outcome.rounds] == [True, False]
    assert same(outcome.model.network, model.network)
