"""What does a channel that reaches too far cost in int8, and what does equalisation give back?

    python -m benchmarks.equalisation models/prune --images 1000

takes a float model folder and data/prepared. In every pair of layers that equalisation finds, one
channel is made so many times as large and read by weights that are as many times smaller: the same
in float. A line per factor: accuracy on validation in float, and quantized without training by our
quantizer, with and without `quantization.equalise`, percent, for each calibrator.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import fx, nn

from slimline import params
from slimline.artifacts import model_folder
from slimline.data import split_files
from slimline.data.split_files import Split
from slimline.networks.classifier import Classifier
from slimline.quantization import equalisation, folded_modules, qat
from slimline.quantization.calibrators import Calibrator
from slimline.quantization.settings import QatFinetuneParams
from slimline.training import determinism, loop

PREPARED = Path("data/prepared")
FACTORS = (1, 32, 1024)
CHANNEL = 0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--images", type=int, default=1000, help="of validation, the first")
    parser.add_argument("--calibrators", nargs="+", default=["minmax", "percentile"])
    given = parser.parse_args()
    determinism.start(params.load_run())
    calibration, validation = (
        _first(split_files.load(PREPARED / name), given.images)
        for name in ("calibration", "validation")
    )
    settings = params.load("qat_finetune", QatFinetuneParams)
    columns = [f"{name}{way}" for name in given.calibrators for way in ("", ", equalised")]
    print(f"| times | float | {' | '.join(columns)} |\n|---|{(1 + len(columns)) * '---:|'}")
    for factor in FACTORS:
        model = model_folder.load(given.model)
        spoilt = folded_modules.fold(model.network)
        for name in equalisation.equalise(folded_modules.fold(model.network)):
            _spoil(spoilt, name, factor)
        model = model.with_network(spoilt)
        cells = [_top1(model, validation)]
        for name in given.calibrators:
            assert name in get_args(Calibrator)
            for equalise in (False, True):
                changed = settings.model_copy(update={"equalise": equalise})
                network = qat.prepare_as(changed, model)
                qat.calibrate(network, calibration, model, name)
                qat.finish(network)
                cells.append(_top1(model.with_network(network), validation))
        print(f"| {factor:,} | {' | '.join(f'{each:.2f}' for each in cells)} |", flush=True)


def _spoil(network: nn.Module, first: str, factor: int) -> None:
    """Make a channel of a layer larger, and the weights that read it smaller."""
    assert isinstance(network, fx.GraphModule)
    (pair,) = (each for each in equalisation.pairs(network) if each.name == first)
    with torch.no_grad():
        pair.first.weight[CHANNEL] *= factor
        if pair.first.bias is not None:
            pair.first.bias[CHANNEL] *= factor
        pair.by_input()[CHANNEL] /= factor


def _top1(model: Classifier, split: Split) -> float:
    answers = loop.predict(model.network, split, model.preprocessing).numpy().argmax(1)
    return 100 * float((answers == split.labels).mean())


def _first(split: Split, count: int) -> Split:
    rows = np.arange(min(count, len(split)))
    return replace(split, images=split_files.take(split.images, rows), labels=split.labels[rows])


if __name__ == "__main__":
    main()
