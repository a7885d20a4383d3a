"""Trains a small network in as many processes as a launcher started, and prints what came out."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from training import test_checkpoints
from training.test_checkpoints import TRAIN, KilledError

from slimline.training import checkpoints, loader, loop, processes


def main(folder: Path, stop_after: int, batch_size: int) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if "RANK" in os.environ:
        processes._join()
    recipe = test_checkpoints.RECIPE.model_copy(update={"batch_size": batch_size})
    keys = loader._Keys(TRAIN, recipe, 1, 0)
    counts = torch.tensor([len(batch) for batch in keys])
    seen = torch.zeros(len(TRAIN), dtype=torch.int64)
    for batch in keys:
        seen += torch.from_numpy(np.bincount([index for _, index in batch], minlength=len(TRAIN)))
    try:
        model, done = test_checkpoints.fit(folder, stop_after=stop_after, recipe=recipe)
    except KilledError:
        os._exit(1)
    own = checkpoints.digest(model.state_dict())
    # Batches of 250, 250 and 110: the second process has one as well.
    logits = loop.predict(
        test_checkpoints.network(), test_checkpoints.split(610, 2), test_checkpoints.FRAME
    )
    said = {
        "digest": own,
        "same": len({bytes(each.tolist()) for each in processes.gathered(_as_bytes(own))}) == 1,
        "steps": [row.step for row in done.rows],
        "rates": [row.learning_rate for row in done.rows],
        # What a further phase begins with, by which its checkpoints are known.
        "next": torch.rand(1).item(),
        "top1": done.kept.top1,
        "validated": checkpoints.digest({"logits": logits}),
        "images": processes.total(counts).tolist(),
        "seen": processes.total(seen).tolist(),
    }
    print(json.dumps(said))


def _as_bytes(text: str) -> torch.Tensor:
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
