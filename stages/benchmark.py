"""Measure latency, throughput and memory of all deployable models, in turns in one process."""

from pathlib import Path

from slimline.core import cli, data, description, params, serialize
from slimline.core.preprocessing import Preprocessing
from slimline.measure import figures, latency, machine


def main(calibration: Path, target: Path, reference: Path, *others: Path) -> None:
    """Write `target/<variant>.json`, `run.json`, `blocks.tsv`; speedups are against `reference`."""
    settings = params.load("benchmark", latency.BenchmarkParams)
    models = (reference, *others)
    frame = Preprocessing.from_dict(description.read(reference)["preprocessing"])
    watch = machine.watch()
    measured = latency.measure(
        {model.name: description.onnx_path(model) for model in models},
        reference.name,
        frame.normalise(data.load(calibration).images[: settings.batch_size]),
        settings,
        num_threads=params.load_run().num_threads,
    )
    for variant, figure in measured.items():
        serialize.write_json(target / f"{variant}.json", figures.noisy(figure, machine.cpu()))
    run = figures.run(measured, settings.max_noise, watch.load())
    serialize.write_json(target / "run.json", run)
    serialize.write_tsv(target / "blocks.tsv", figures.blocks(measured))


if __name__ == "__main__":
    cli.run(main)
