from pathlib import Path

import cuts
import torch
import toy

from slimline.networks import classifier
from slimline.networks.settings import ModelParams
from slimline.pruning import sensitivity
from slimline.pruning.settings import SensitivityParams


def test_each_layer_is_measured_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    splits = toy.splits(tmp_path / "raw")
    settings = ModelParams(
        backbone="resnet8_w48", pretrained="none", stem_stride=2, stem_kernel=3,
        activation="keep",
    )  # fmt: skip
    model = classifier.build(settings, splits["train"], tmp_path)
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


def test_nothing_is_measured_unless_asked(tmp_path: Path) -> None:
    splits = toy.splits(tmp_path / "raw")
    asked = SensitivityParams(shares=[], images=50)
    method = cuts.settings("structured_magnitude")
    assert sensitivity.scan(None, splits["train"], splits["train"], asked, method) == []
