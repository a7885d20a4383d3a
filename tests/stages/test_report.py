from pathlib import Path

from slimline import files


def test_what_a_person_reads_is_there(pipeline: Path) -> None:
    metrics = pipeline / "metrics"
    report = (metrics / "report.md").read_text()
    assert "| **int8_export** |" in report
    assert "Rounds of pruning" in report
    page = (metrics / "report.html").read_text()
    assert "http" not in page
    assert len(page) < 300 * 1024
    assert (metrics / "model_card.md").read_text().startswith("---\n")


def test_the_product_has_its_figures_under_names_of_their_own(pipeline: Path) -> None:
    metrics = pipeline / "metrics"
    found = files.read_json(metrics / "product.json")
    of_product, other_names = {}, set()
    for path in metrics.glob("[el]*/*.json"):
        figures = files.read_json(path)
        other_names |= set(figures)
        if path.stem == "int8_export":
            of_product |= {f"product_{name}": value for name, value in figures.items()}
    assert len(found) == 5
    assert found.items() <= of_product.items()
    assert not set(found) & other_names


def test_learning_curves_come_into_git(pipeline: Path) -> None:
    for name in ("baseline_train", "backbone_swap", "prune", "qat_finetune"):
        copied = pipeline / "metrics" / "history" / f"{name}.tsv"
        assert copied.read_text() == (pipeline / "models" / name / "history.tsv").read_text()


def test_rounds_of_pruning_come_into_git(pipeline: Path) -> None:
    header, *rows = (pipeline / "metrics" / "history" / "prune_rounds.tsv").read_text().splitlines()
    assert "sparsity" in header.split("\t")
    assert [row.split("\t")[0] for row in rows] == ["0", "1", "2"]


def test_the_report_tells_what_became_of_each_layer(pipeline: Path) -> None:
    layers = files.read_json(pipeline / "models" / "prune" / "model.json")["layers"]
    for name in ("report.md", "report.html"):
        text = (pipeline / "metrics" / name).read_text().replace("\\_", "_")
        assert all(layer["layer"] in text for layer in layers)


def test_what_is_taken_for_what_comes_into_git(pipeline: Path) -> None:
    path = pipeline / "metrics" / "history" / "confusion.tsv"
    header, *rows = (line.split("\t") for line in path.read_text().splitlines())
    assert header == ["actual", "predicted", "images"]
    labels = (pipeline / "metrics" / "predictions" / "labels.txt").read_text().split()
    assert sum(int(images) for *_, images in rows) == len(labels)
