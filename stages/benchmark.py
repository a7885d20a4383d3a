"""Measure latency, throughput and memory of all deployable models, in turns in one process."""

from pathlib import Path

from slimline import files, params, processor, stage, variants
from slimline.artifacts import description, model_interface
from slimline.data import split_files
from slimline.measure import benchmark_figures, latency, machine, other_runtimes


def main(declared: Path, models: Path, calibration: Path, target: Path, about: Path) -> None:
    """Write `target/<variant>.json`, and into `about` how sure they are: `run.json`, `blocks.tsv`.

    Speedups are against the variant whose role is baseline. Where other runtimes were asked for,
    `about/runtimes.tsv` says what they make of the same files.
    """
    settings = params.load("benchmark", latency.BenchmarkParams)
    names = variants.read(declared)
    frames = {name: model_interface.read(models / name).frame for name in names}
    pixels = split_files.load(calibration).images[: settings.batch_size]
    images = {name: frame.normalise(pixels) for name, frame in frames.items()}
    watch = machine.watch()
    deployables = {name: description.deployable(models / name) for name in names}
    measured = latency.measure(
        deployables,
        names.baseline,
        images[names.baseline],
        settings,
        num_threads=params.load_run().num_threads,
        own_images=images,
    )
    cpu = processor.cpu()
    with files.replacing(target) as folder:
        for name, latencies in measured.items():
            files.write_json(folder / f"{name}.json", benchmark_figures.noisy(latencies, cpu))
    run = benchmark_figures.run(measured, settings.max_noise, watch.load())
    files.write_json(about / "run.json", run)
    files.write_table(about / "blocks.tsv", benchmark_figures.blocks(measured))
    if settings.runtimes:
        found = other_runtimes.measure(deployables, images, settings)
        other_runtimes.write(about, found)


if __name__ == "__main__":
    stage.run(main)
