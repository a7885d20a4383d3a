from pathlib import Path

import numpy as np

from slimline.core import data, serialize
from slimline.measure import accuracy
from stages import evaluate


def test_predictions_give_the_figures(pipeline: Path) -> None:
    metrics = pipeline / "metrics"
    labels = accuracy.read_predictions(metrics / "predictions" / "labels.txt")
    assert labels.tolist() == data.load(pipeline / "data" / "prepared" / "test").labels.tolist()
    answers = {
        name: np.array((metrics / "predictions" / f"{name}.txt").read_text().split(), int)
        for name in ("baseline_train", "prune")
    }
    found = serialize.read_json(metrics / "evaluate" / "prune.json")
    assert found["top1"] == round(100 * float((answers["prune"] == labels).mean()), 3)
    same = float((answers["prune"] == answers["baseline_train"]).mean())
    assert found["agreement"] == round(100 * same, 3)
    assert 0 <= found["ece"] < 100


def test_it_is_deterministic(pipeline: Path, tmp_path: Path) -> None:
    model = pipeline / "models" / "int8_export"
    written = tmp_path / "figures.json", tmp_path / "predictions.txt"
    reference = pipeline / "metrics" / "predictions" / "baseline_train.txt"
    evaluate.main(model, pipeline / "data" / "prepared" / "test", reference, *written)
    committed = pipeline / "metrics" / "evaluate" / "int8_export.json"
    assert written[0].read_bytes() == committed.read_bytes()
