"""All of a training that changes with its steps: what a checkpoint saves and restores to the bit.

Whatever is not here is the same whenever a training begins with the same network and settings: the
loader's order, the masks of pruned weights, the teacher. It is made anew and costs no disk.
"""

import copy
import random
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import AveragedModel

from slimline.networks import state
from slimline.training import processes
from slimline.training.checkpoints import Saved
from slimline.training.scores import HistoryRow, Score
from slimline.training.settings import Selection

_NETWORK, _AVERAGE, _BEST, _OPTIMIZER = "network.", "average.", "best.", "optimizer."
_LOSSES, _JOINED = "losses", 1000
_TORCH, _DEVICE, _NUMPY = "random.torch", "random.device", "random.numpy"


class RunState:
    """A training between two steps."""

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: OneCycleLR,
        *,
        steps: int,
        by: Selection,
        average: AveragedModel | None = None,
    ) -> None:
        self.network, self.optimizer, self.schedule = network, optimizer, schedule
        self.steps, self._by, self._average = steps, by, average
        self.step = 0
        """Of `steps`, those that are done."""
        self.start: Score
        """Of the state that training began with."""
        self.best: tuple[Score, dict[str, Tensor]]
        """The best state that was reached, the start included, and its score."""
        self.reached: Score | None = None
        """The best score of a state that training made."""
        self.rows: list[HistoryRow] = []
        """The learning curve."""
        self.losses: list[Tensor] = []
        """Of the steps since its last row, [one or more steps] each."""

    def add_loss(self, loss: Tensor) -> None:
        """Take the loss of a step, a scalar; many are joined, since each tensor costs memory."""
        self.losses.append(loss.reshape(1))
        if len(self.losses) == _JOINED:
            self.losses = [torch.cat(self.losses)]

    @property
    def last_loss(self) -> float:
        """Of the last step, or the mean up to a row of the learning curve that ends with it."""
        return self.losses[-1][-1].item() if self.losses else self.rows[-1].train_loss

    @property
    def has_ended(self) -> bool:
        """Whether all steps are done: of such a run the best state is all that is asked for."""
        return self.step == self.steps

    def begin(self, start: Score) -> None:
        """Take the network as it is, with its score, as the state that training begins with."""
        self.start = start
        self._keep(start, self.network)

    def judge(self, found: Score) -> None:
        """Keep the network, or its average, as it is now if its score is the best so far."""
        if self.reached is None or found.rank(self._by) > self.reached.rank(self._by):
            self.reached = found
        if found.rank(self._by) > self.best[0].rank(self._by):
            average = self._average
            self._keep(found, self.network if average is None else average.module)

    def _keep(self, score: Score, network: nn.Module) -> None:
        self.best = score, copy.deepcopy(network.state_dict())

    def save(self) -> Saved:
        """Return all that changes: tensors, and JSON types."""
        tensors = {f"{_BEST}{name}": each for name, each in self.best[1].items()} | _random()
        content: dict[str, Any] = {
            "step": self.step,
            "start": asdict(self.start),
            "best": asdict(self.best[0]),
            "reached": asdict(self.reached) if self.reached else None,
            "rows": [row.to_dict() for row in self.rows],
            "random.python": random.getstate(),
            "random.numpy": _without_words(np.random.get_state(legacy=False)),
        }
        if not self.has_ended:
            optimizer = self.optimizer.state_dict()
            moments = _flat(optimizer["state"])
            tensors |= {f"{_NETWORK}{name}": e for name, e in self.network.state_dict().items()}
            tensors |= moments
            if self._average is not None:
                tensors |= {
                    f"{_AVERAGE}{n}": each for n, each in self._average.state_dict().items()
                }
            if self.losses:
                tensors[_LOSSES] = torch.cat(self.losses)
            content |= {
                "groups": optimizer["param_groups"],
                # Fused optimizers walk through memory: what they keep of a weight lies as it does.
                "strides": {name: list(each.stride()) for name, each in moments.items()},
                "schedule": self.schedule.state_dict(),
            }
        return tensors, content

    def restore(self, saved: Saved) -> None:
        """Become what was saved, random generators included."""
        tensors, content = saved
        device = next(self.network.parameters()).device
        self.step = content["step"]
        self.start = Score(**content["start"])
        self.reached = Score(**content["reached"]) if content["reached"] else None
        self.rows = [HistoryRow(**row) for row in content["rows"]]
        # The best state is kept as `state_dict` gives it, versions of modules included.
        state.load(self.network, _named(tensors, _BEST))
        self._keep(Score(**content["best"]), self.network)
        if not self.has_ended:
            state.load(self.network, _named(tensors, _NETWORK))
            if self._average is not None:
                state.load(self._average, _named(tensors, _AVERAGE))
            self.losses = [tensors[_LOSSES].to(device)] if _LOSSES in tensors else []
            self.optimizer.load_state_dict(
                {"state": _nested(tensors, content["strides"]), "param_groups": content["groups"]}
            )
            for group in self.optimizer.param_groups:
                if "betas" in group:  # JSON knows no tuple
                    group["betas"] = tuple(group["betas"])
            self.schedule.load_state_dict(content["schedule"])
        _set_random(tensors, content)


def _random() -> dict[str, Tensor]:
    """Return the states of the generators of torch and numpy, uint8 and int64."""
    words = np.random.get_state(legacy=False)["state"]["key"]
    found = {
        _TORCH: _of_all(torch.get_rng_state()),
        _NUMPY: torch.from_numpy(words.astype(np.int64)),
    }
    if torch.accelerator.is_available():
        found[_DEVICE] = _of_all(torch.get_device_module().get_rng_state())
    return found


def _of_all(state: Tensor) -> Tensor:
    """Return the state of a generator in each process, [processes, bytes]."""
    return torch.stack(processes.gathered(state))


def _without_words(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of numpy's generator without its words, which are among the tensors."""
    return {**state, "state": {"pos": state["state"]["pos"]}}


def _set_random(tensors: dict[str, Tensor], content: dict[str, Any]) -> None:
    version, words, gauss = content["random.python"]
    random.setstate((version, tuple(words), gauss))
    state = content["random.numpy"]
    state["state"]["key"] = tensors[_NUMPY].numpy().astype(np.uint32)
    np.random.set_state(state)
    # A copy, since torch reads from the beginning of the memory, wherever a view of it begins.
    torch.set_rng_state(tensors[_TORCH][processes.rank()].clone())
    if _DEVICE in tensors:
        torch.get_device_module().set_rng_state(tensors[_DEVICE][processes.rank()].clone())


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)
    }


def _flat(moments: dict[int, dict[str, Tensor]]) -> dict[str, Tensor]:
    return {
        f"{_OPTIMIZER}{index}.{key}": value
        for index, of_weight in moments.items()
        for key, value in of_weight.items()
    }


def _nested(
    tensors: dict[str, Tensor], strides: dict[str, list[int]]
) -> dict[int, dict[str, Tensor]]:
    found: dict[int, dict[str, Tensor]] = {}
    for name, values in _named(tensors, _OPTIMIZER).items():
        index, _, key = name.partition(".")
        stride = strides[f"{_OPTIMIZER}{name}"]
        laid_out = torch.empty_strided(values.shape, stride, dtype=values.dtype).copy_(values)
        found.setdefault(int(index), {})[key] = laid_out
    return found
