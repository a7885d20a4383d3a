"""Write what a person reads, and bring the learning curves into git."""

from pathlib import Path

from slimline import files, params, stage, variants
from slimline.artifacts import description
from slimline.measure import trainings
from slimline.quantization import mixed_record
from slimline.report import content, gates, images_seen, render


def main(
    declared: Path, metrics: Path, models: Path, raw: Path, sensitivity: Path, *trained: Path
) -> None:
    """Write the three documents into `metrics`, and the history of each trained model."""
    written = params.read(params.PARAMS_PATH)
    report = content.gather(
        metrics,
        variants.read(declared),
        models,
        raw,
        sensitivity,
        trained,
        settings=params.load("gates", gates.GatesParams),
        source=written["data"]["source"],
        targets=written["targets"],
    )
    files.write_text(metrics / "report.md", render.markdown(report))
    files.write_text(metrics / "report.html", render.html(report))
    files.write_text(metrics / "model_card.md", render.model_card(report))
    files.write_json(metrics / "product.json", report.product.headline)
    with files.replacing(metrics / "history") as history:
        for model in trained:
            curve = (model / description.HISTORY).read_text(encoding="utf-8")
            files.write_text(history / f"{model.name}.tsv", curve)
        files.write_table(
            history / images_seen.FILE,
            images_seen.rows(report.images_seen),
            header=images_seen.COLUMNS,
        )
        made = [trainings.of(each.name, each.content) for each in report.lineage]
        trainings.write(history, [each for each in made if each.weights])
        rounds = [vars(each) for each in report.rounds]
        files.write_table(history / "prune_rounds.tsv", rounds)
        files.write_table(history / "confusion.tsv", report.confusion)
        files.write_table(
            history / "int8_layers.tsv",
            [each.to_row() for each in report.int8_layers],
            header=mixed_record.COLUMNS,
        )
        scan = sensitivity.read_text(encoding="utf-8")
        files.write_text(history / "sensitivity.tsv", scan)


if __name__ == "__main__":
    stage.run(main)
