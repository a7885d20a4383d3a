from pathlib import Path


def test_what_a_person_reads_is_there(pipeline: Path) -> None:
    metrics = pipeline / "metrics"
    report = (metrics / "report.md").read_text()
    assert "| **int8_export** |" in report
    assert "Rounds of pruning" in report
    page = (metrics / "report.html").read_text()
    assert "http" not in page
    assert len(page) < 300 * 1024
    assert (metrics / "model_card.md").read_text().startswith("---\n")


def test_learning_curves_come_into_git(pipeline: Path) -> None:
    for name in ("baseline_train", "backbone_swap", "prune", "qat_finetune"):
        copied = pipeline / "metrics" / "history" / f"{name}.tsv"
        assert copied.read_text() == (pipeline / "models" / name / "history.tsv").read_text()
