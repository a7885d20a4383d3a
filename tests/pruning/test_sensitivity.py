import itertools
from pathlib import Path

import cuts
import kinds
import pytest
import torch

from slimline.data.split_files import Split
from slimline.networks import classifier
from slimline.networks.classifier import Classifier
from slimline.networks.settings import ModelParams
from slimline.pruning import sensitivity
from slimline.pruning.settings import SensitivityParams
from slimline.training import loop


@pytest.fixture(params=kinds.KINDS)
def splits(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Split]:
    return kinds.splits(request.param, tmp_path / "raw")


@pytest.fixture
def model(splits: dict[str, Split], tmp_path: Path) -> Classifier:
    torch.manual_seed(0)
    settings = ModelParams(
        backbone="resnet8_w48", pretrained="none", stem_stride=2, stem_kernel=3,
        activation="keep",
    )  # fmt: skip
    return classifier.build(settings, splits["train"], tmp_path)


def test_each_layer_is_measured_alone(model: Classifier, splits: dict[str, Split]) -> None:
    before = {key: value.clone() for key, value in model.network.state_dict().items()}
    asked = SensitivityParams(shares=[0.3, 0.9], images=50)
    rows = sensitivity.scan(
        model, splits["calibration"], splits["validation"], asked,
        cuts.settings("structured_magnitude", channel_multiple=1),
    )  # fmt: skip
    groups = cuts.plan(model.network, model.example).groups
    assert [row.layers for row in rows[::2]] == [" ".join(group.layers) for group in groups]
    assert {row.share for row in rows} == {0.3, 0.9}
    assert len({round(row.top1 + row.lost, 6) for row in rows}) == 1
    assert any(row.lost != 0 for row in rows)
    after = model.network.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_points_of_mean_recall_are_told_too(
    model: Classifier, splits: dict[str, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    recalls = itertools.count(80, -1)
    monkeypatch.setattr(loop, "measure", lambda *_: loop.Score(90.0, 0.3, next(recalls)))
    rows = sensitivity.scan(
        model, splits["calibration"], splits["validation"],
        SensitivityParams(shares=[0.3], images=50),
        cuts.settings("structured_magnitude", channel_multiple=1),
    )  # fmt: skip
    assert [row.lost_recall for row in rows] == list(range(1, len(rows) + 1))
    assert {(row.lost_by("top1"), row.lost_by("loss")) for row in rows} == {(0, 0)}


def test_nothing_is_measured_unless_asked(splits: dict[str, Split]) -> None:
    asked = SensitivityParams(shares=[], images=50)
    method = cuts.settings("structured_magnitude")
    assert sensitivity.scan(None, splits["train"], splits["train"], asked, method) == []
