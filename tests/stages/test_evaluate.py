from pathlib import Path

import numpy as np
import toy

from slimline import files
from slimline.artifacts import description
from slimline.data import split_files
from slimline.data.preprocessing import Preprocessing
from slimline.measure import accuracy
from stages import evaluate


def test_predictions_give_the_figures(pipeline: Path) -> None:
    metrics = pipeline / "metrics"
    labels = accuracy.read_predictions(metrics / "predictions" / "labels.txt")
    assert (
        labels.tolist() == split_files.load(pipeline / "data" / "prepared" / "test").labels.tolist()
    )
    answers = {
        name: np.array((metrics / "predictions" / f"{name}.txt").read_text().split(), int)
        for name in ("baseline_train", "prune")
    }
    found = files.read_json(metrics / "evaluate" / "prune.json")
    assert found["top1"] == round(100 * float((answers["prune"] == labels).mean()), 3)
    same = float((answers["prune"] == answers["baseline_train"]).mean())
    assert found["agreement"] == round(100 * same, 3)
    assert 0 <= found["ece"] < 100


def test_every_variant_has_the_accuracy_on_validation_that_choices_go_by(pipeline: Path) -> None:
    """Of the file that is shipped, and not of the network that it was made from."""
    unseen = split_files.load(pipeline / "data" / "prepared" / "validation")
    for name in toy.VARIANTS:
        model = pipeline / "models" / name
        frame = Preprocessing.from_dict(description.read(model)["preprocessing"])
        logits = description.deployable(model).predict(unseen.images, frame, num_threads=1)
        top1 = 100 * float((logits.argmax(1) == unseen.labels).mean())
        found = files.read_json(pipeline / "metrics" / "evaluate" / f"{name}.json")
        assert found["validation_top1"] == round(top1, 3), name


def test_it_is_deterministic(pipeline: Path, tmp_path: Path) -> None:
    model = pipeline / "models" / "int8_export"
    names = ("figures.json", "predictions.txt", "newly_wrong.json", "recalls.tsv")
    written = [tmp_path / name for name in names]
    reference = pipeline / "metrics" / "predictions" / "reference.txt"
    evaluate.main(model, pipeline / "data" / "prepared" / "test", reference, *written)
    folders = ("evaluate", "predictions", "newly_wrong", "recalls")
    for path, folder in zip(written, folders, strict=True):
        committed = pipeline / "metrics" / folder / f"int8_export{path.suffix}"
        assert path.read_bytes() == committed.read_bytes()


def test_the_recall_of_each_class_is_a_row(pipeline: Path) -> None:
    """And the metric file, which `dvc metrics diff` prints, has their mean and least alone."""
    metrics = pipeline / "metrics"
    rows = files.read_table(metrics / "recalls" / "prune.tsv")
    classes = files.read_json(metrics / "predictions" / "test_split.json")["classes"]
    assert [row["class"] for row in rows] == classes
    labels, answers = (
        accuracy.read_predictions(metrics / "predictions" / f"{name}.txt")
        for name in ("labels", "prune")
    )
    for index, row in enumerate(rows):
        of_class = labels == index
        assert int(row["images"]) == of_class.sum()
        assert float(row["recall"]) == round(100 * float((answers[of_class] == index).mean()), 3)
    found = files.read_json(metrics / "evaluate" / "prune.json")
    recalls = [float(row["recall"]) for row in rows]
    assert found["least_recall"] == min(recalls)
    assert abs(found["mean_recall"] - sum(recalls) / len(recalls)) < 0.01


def test_images_newly_wrong_are_those(pipeline: Path) -> None:
    metrics = pipeline / "metrics"
    found = files.read_json(metrics / "newly_wrong" / "int8_export.json")["images"]
    labels, before, after = (
        accuracy.read_predictions(metrics / "predictions" / f"{name}.txt")
        for name in ("labels", "baseline_train", "int8_export")
    )
    rows = np.flatnonzero((before == labels) & (after != labels)).tolist()
    assert sorted(each["row"] for each in found) == rows or len(found) == 24
    assert all(each["before"] == each["label"] != each["after"] for each in found)
    assert files.read_json(metrics / "newly_wrong" / "baseline_train.json") == {"images": []}
