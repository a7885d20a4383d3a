"""What the report says of int8 that training did not help."""

from pathlib import Path

import finished
import pytest
import repository

from slimline import files
from slimline.measure import accuracy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return finished.make(tmp_path / "run")


def notes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return finished.run(folder, monkeypatch)["report.md"].partition("## Worth knowing")[2]


@pytest.mark.parametrize(("won", "lost", "is_told"), [(0, 5, False), (0, 6, True), (40, 50, False)])
def test_qat_behind_ptq_beyond_noise(
    won: int, lost: int, is_told: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, product, ptq = (
        folder / "metrics" / "predictions" / f"{name}.txt"
        for name in ("labels", "int8_export", "int8_ptq")
    )
    right = accuracy.read_predictions(labels)
    for path, start, count in ((product, 0, lost), (ptq, 1000, won)):
        answers = right.copy()
        answers[start : start + count] = (right[start : start + count] + 1) % 10
        path.write_text(accuracy.format_predictions(answers))
        repository.write_top1(folder, path.stem)
    told = f"of the test images it wins {won} and loses {lost}."
    assert (told in notes(folder, monkeypatch)) == is_told


@pytest.mark.parametrize(("best", "is_told"), [(89.5, True), (90.0, True), (90.5, False)])
def test_training_that_gained_nothing(
    best: float, is_told: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {
            "phase": "qat",
            "step": step,
            "epoch": step / 10,
            "images": step,
            "train_loss": 1.0,
            "validation_top1": top1,
        }
        for step, top1 in ((0, 90.0), (1, best), (2, 80.0))
    ]
    files.write_table(folder / "models" / "qat_finetune" / "history.tsv", rows)
    told = f"qat_finetune gained nothing: 90.00 % on validation before training, {best:.2f} %"
    assert (told in notes(folder, monkeypatch)) == is_told


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ({"select_by": "top1", "balance": "none"}, ""),
        ({"select_by": "auto", "balance": "none"}, ""),
        ({"select_by": "auto", "balance": "weights"}, "70.00 % mean recall on validation before"),
        ({"select_by": "loss", "balance": "none"}, "a loss of 0.3000 on validation before"),
    ],
)
def test_what_training_gained_goes_by_what_selects(
    recipe: dict[str, str], told: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Top-1 rose; mean recall and loss became worse."""
    rows = [
        {
            "phase": "qat", "step": step, "epoch": float(step), "images": step, "train_loss": 1.0,
            "validation_top1": top1, "validation_mean_recall": recall, "validation_loss": loss,
        }
        for step, top1, recall, loss in ((0, 90.0, 70.0, 0.3), (1, 91.0, 69.0, 0.4))
    ]  # fmt: skip
    model = folder / "models" / "qat_finetune"
    files.write_table(model / "history.tsv", rows)
    path = model / "model.json"
    files.write_json(path, files.read_json(path) | {"settings": {"recipe": recipe}})
    found = [line for line in notes(folder, monkeypatch).splitlines() if "gained nothing" in line]
    assert [told in line for line in found] == ([True] if told else [])


@pytest.mark.parametrize(("loss", "is_told"), [(1.4, False), (9.0, True)])
def test_a_loss_that_exploded(
    loss: float, is_told: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {
            "phase": "train", "step": step, "epoch": float(step), "train_loss": each,
            "validation_top1": 90.0, "images": step,
        }
        for step, each in ((1, 0.5), (2, loss), (3, 0.4))
    ]  # fmt: skip
    files.write_table(folder / "models" / "baseline_train" / "history.tsv", rows)
    told = "The training loss of baseline_train exploded on the way"
    assert (told in notes(folder, monkeypatch)) == is_told


@pytest.mark.parametrize(
    ("channels", "changed", "told"),
    [
        (1, {}, "accumulates: its first convolution makes four columns of a grey image at once"),
        (3, {}, "accumulates: channels are padded to as many as kernels take at once"),
        (1, {"form": "portable"}, "accumulates."),
        (3, {"form": "portable"}, "accumulates."),
        (3, {"pad_channels": False}, "accumulates."),
    ],
)
def test_what_computes_more_is_of_this_model_and_this_form(
    channels: int,
    changed: dict[str, object],
    told: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = folder / "models" / "int8_export" / "model.json"
    content = files.read_json(path)
    content["preprocessing"]["channels"] = channels
    content["settings"] |= {"form": "fastest", "pad_channels": True} | changed
    files.write_json(path, content)
    figures = folder / "metrics" / "evaluate" / "int8_export.json"
    files.write_json(figures, files.read_json(figures) | {"macs_m": 100.0})
    assert told in notes(folder, monkeypatch)


def test_dynamic_quantization_is_told_for_what_it_is(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "models" / "int8_dynamic" / "model.json"
    files.write_json(path, files.read_json(path) | {"linear_share": 0.42})
    written = notes(folder, monkeypatch)
    assert "int8_dynamic makes the weights of linear layers int8 and no others: 0.4 % of" in written
    assert "0.700 ms against 0.600" in written


def test_weights_alone_in_float16_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "models" / "float16" / "model.json"
    files.write_json(path, files.read_json(path) | {"float16_weights_alone": True})
    written = notes(folder, monkeypatch)
    assert "Values or weights of prune go beyond 65,504" in written
    assert "float16 is no faster" not in written


def test_a_class_without_test_images_is_not_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = repository.State(lost=5, classes=(*repository.CLASSES, "owl"))
    made = finished.make(tmp_path / "more", classes=state.classes, state=state)
    documents = finished.run(made, monkeypatch)
    assert "| owl | 0 | not tested | not tested |" in documents["report.md"]
    assert "<td>not tested</td>" in documents["report.html"]
    assert "owl | 0" not in documents["model_card.md"]
