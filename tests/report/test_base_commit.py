from dataclasses import replace
from pathlib import Path

import pytest
import repository
from repository import State

from slimline.measure import trainings
from slimline.measure.trainings import Training
from slimline.report import base_commit
from slimline.repository import commit_results


@pytest.mark.parametrize("product", ["int8_export", "int8_ptq"])
def test_trained_anew_goes_by_the_weights_that_the_product_has(
    product: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is quantized without training has those of its parent, whatever QAT made of them."""
    folder = repository.make(tmp_path / "toy")
    monkeypatch.chdir(folder)
    path = folder / "variants.yaml"
    text = path.read_text().replace("role: product", "role: comparator")
    chosen = f"  {product}:\n    role: comparator"
    path.write_text(text.replace(chosen, chosen.replace("comparator", "product")))
    pruned = Training("prune", "p" * 64, "cpu", "Test CPU", "AVX2", "2", "2.14.1")
    states = []
    for weights in ("a" * 64, "b" * 64):
        repository.write_training(folder, weights, pruned)
        repository.write_lock(folder, State())
        states.append(commit_results.workspace())
    then, now = states
    assert base_commit.of(then, now).is_trained_anew == (product == "int8_export")


def test_a_float_product_has_weights_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where int8 does not pay, the pruned model is shipped; its parent's weights stay."""
    folder = repository.make(tmp_path / "toy")
    monkeypatch.chdir(folder)
    path = folder / "variants.yaml"
    text = path.read_text().replace("role: product", "role: comparator")
    path.write_text(text.replace("  prune:\n    role: chain", "  prune:\n    role: product"))
    swapped = Training("backbone_swap", "s" * 64, "cpu", "Test CPU", "AVX2", "2", "2.14.1")
    states = []
    for weights in ("a" * 64, "b" * 64):
        pruned = replace(swapped, model="prune", weights=weights)
        trainings.write(folder / "metrics" / "history", [swapped, pruned])
        repository.write_lock(folder, State(product_md5=weights[:32]))
        states.append(commit_results.workspace())
    then, now = states
    assert base_commit.of(then, now).is_trained_anew


def test_without_qat_the_product_has_the_weights_of_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipeline whose `qat_finetune` was taken out exports what pruning left."""
    folder = repository.make(tmp_path / "toy")
    monkeypatch.chdir(folder)
    pruned = Training("prune", "p" * 64, "cpu", "Test CPU", "AVX2", "2", "2.14.1")
    states = []
    for product in ("1" * 32, "2" * 32):
        trainings.write(folder / "metrics" / "history", [pruned])
        repository.write_lock(folder, State(product_md5=product))
        states.append(commit_results.workspace())
    then, now = states
    assert not now.has_same_product(then)
    assert not base_commit.of(then, now).is_trained_anew
