"""Write what a person reads, and bring the learning curves into git."""

from pathlib import Path

from slimline.core import cli, description, params, serialize
from slimline.measure import int8_layers
from slimline.report import content, gates, render, results


def main(
    evaluate: Path,
    latency: Path,
    predictions: Path,
    newly_wrong: Path,
    models: Path,
    raw: Path,
    target: Path,
    sensitivity: Path,
    *trained: Path,
) -> None:
    """Write the three documents into `target`, and the history of each trained model."""
    report = content.gather(
        results.load(evaluate, latency, predictions),
        models,
        raw,
        sensitivity,
        newly_wrong,
        trained,
        settings=params.load("gates", gates.GatesParams),
        source=params.read(params.PARAMS_PATH)["data"]["source"],
    )
    serialize.write_text(target / "report.md", render.markdown(report))
    serialize.write_text(target / "report.html", render.html(report))
    serialize.write_text(target / "model_card.md", render.model_card(report))
    serialize.write_json(target / "product.json", report.product.headline)
    for model in trained:
        curve = (model / description.HISTORY).read_text(encoding="utf-8")
        serialize.write_text(target / "history" / f"{model.name}.tsv", curve)
    rounds = [vars(each) for each in report.rounds]
    serialize.write_tsv(target / "history" / "prune_rounds.tsv", rounds)
    serialize.write_tsv(target / "history" / "confusion.tsv", report.confusion)
    serialize.write_tsv(
        target / "history" / "int8_layers.tsv",
        [each.to_row() for each in report.int8_layers],
        header=int8_layers.COLUMNS,
    )
    scan = sensitivity.read_text(encoding="utf-8")
    serialize.write_text(target / "history" / "sensitivity.tsv", scan)


if __name__ == "__main__":
    cli.run(main)
