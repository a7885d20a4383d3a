"""Is a retraining of unchanged settings called another model? Trained with other seeds, and judged.

    python -m benchmarks.training_noise --folder /somewhere --share 0.1
    python -m benchmarks.training_noise --folder /other --share 0.05 --set num_threads=1

clones this repository into the folder, takes that share of the epochs of every recipe (1: the
default run as it is), sets what else is given, and lets `dvc exp run` train seed after seed; what
is there already is left as it is, so that an interrupted run goes on. Seed 1 is what a branch is
compared with, the others are retrainings, each judged by what `diff` and `gate` call: once without
the noise of training, and once with it, as it is known from all other seeds, so that neither of the
two models that are compared has a part in it. Then all pairs of seeds are judged the same way.

A run takes a few minutes at a share of 0.1 and as long as `make repro` at 1, times the number of
seeds. The spread of all of them is that of `cd /somewhere && python -m slimline seeds --write`,
whose file belongs into data/ of this repository if the share was 1.
"""

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from benchmarks.backbones import NO_BOUNDS
from slimline import params
from slimline.measure import paired_answers, training_noise
from slimline.measure.training_noise import TrainingNoise
from slimline.report import base_commit, comparison
from slimline.report.gates import GatesParams
from slimline.repository import commit_results
from slimline.repository.commit_results import State

ROOT = Path(__file__).parent.parent
BASE = 1
_LOSS = "max_top1_loss"
_TIMES_ARE_IDLE = {
    "benchmark.blocks": 2,
    "benchmark.runs": 2,
    "benchmark.batches": 1,
    "benchmark.max_seconds": 0,
}


@dataclass(frozen=True)
class Judgement:
    """What `diff` and `gate` say of one training against another."""

    is_beyond_chance: bool
    """Whether the comment of a pull request calls accuracy changed."""
    gate: str
    """Verdict on `gates.max_top1_loss`."""
    num_classes: int
    """Classes that the comment calls changed."""

    @property
    def is_false(self) -> bool:
        """Whether any of them took the noise of training for a change."""
        return self.is_beyond_chance or self.gate == "broken" or self.num_classes > 0


def main() -> None:
    """Train what is missing, then print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="for the clone")
    parser.add_argument("--share", type=float, default=0.1, help="of all epochs; 1: the default")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of params.yaml")
    parser.add_argument("--seeds", type=int, default=9, help="seed 1, and so many less one again")
    given = parser.parse_args()
    if given.seeds < training_noise.FEWEST_SEEDS + 2:
        parser.error(f"--seeds must be at least {training_noise.FEWEST_SEEDS + 2}")
    folder = given.folder.resolve()
    if not folder.exists():
        _clone(folder, given.share, given.set)
    seeds = range(BASE, BASE + given.seeds)
    for seed in seeds:
        _train(folder, seed)
    with contextlib.chdir(folder):
        settings = params.load("gates", GatesParams)
        states = {seed: _state(folder, seed) for seed in seeds}
    _print(states, settings)


def _clone(folder: Path, share: float, others: Sequence[str]) -> None:
    """Make the clone, with its own cache, and commit what its settings differ in."""
    _run(ROOT, "git", "clone", "--quiet", str(ROOT), str(folder))
    _run(folder, "git", "switch", "--quiet", "--force-create", "main")
    for key, value in (("user.name", "Slimline"), ("user.email", "benchmark@example.org")):
        _run(folder, "git", "config", key, value)
    flat = params.flat(params.read(folder / params.PARAMS_PATH))
    changes: dict[str, object] = {"seed": BASE, **_TIMES_ARE_IDLE}
    if share != 1:  # an undertrained model has no answers to agree on
        changes |= {key: value * share for key, value in flat.items() if key.endswith(".epochs")}
        changes |= {f"int8_export.{key}": value for key, value in NO_BOUNDS.items()}
    given = [f"{key}={value}" for key, value in changes.items()]
    _run(folder, sys.executable, "-m", "slimline", "apply", *given, *others)
    _run(folder, "git", "commit", "--quiet", "--all", "--message", "Set what this benchmark needs")


def _train(folder: Path, seed: int) -> None:
    """Bring about the branch that has the results of a seed."""
    branch = _branch(seed)
    if _run(folder, "git", "branch", "--list", branch):
        return
    print(f"training seed {seed}", file=sys.stderr, flush=True)
    _run(folder, "git", "switch", "--quiet", "--discard-changes", "main")
    if seed == BASE:
        _run(folder, sys.executable, "-m", "dvc", "repro")
        _run(folder, "git", "commit", "--quiet", "--all", "--message", "Results of the base")
        _run(folder, "git", "branch", branch)
        return
    if branch in _run(folder, sys.executable, "-m", "dvc", "exp", "list", "--name-only").split():
        _run(folder, sys.executable, "-m", "dvc", "exp", "remove", branch)  # it was interrupted
    experiment = ["--name", branch, "--set-param", f"seed={seed}"]
    _run(folder, sys.executable, "-m", "dvc", "exp", "run", *experiment)
    _run(folder, sys.executable, "-m", "dvc", "exp", "branch", branch, branch)


def _state(folder: Path, seed: int) -> State:
    _run(folder, "git", "switch", "--quiet", "--discard-changes", _branch(seed))
    return commit_results.workspace()


def _branch(seed: int) -> str:
    return f"seed-{seed}"


def _run(folder: Path, *command: str) -> str:
    """Run a command with this Python first on the path; return what it prints."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed in {folder}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _top1(states: Mapping[int, State]) -> list[float]:
    return [state.results.product.top1 for state in states.values()]


def judge(then: State, now: State, settings: GatesParams, noise: TrainingNoise | None) -> Judgement:
    """Return what is said of one training against another, with what is known of the noise."""
    against = replace(base_commit.of(then, now), training_noise=noise)
    change = comparison.compare(then, now, settings, against, "")
    gate = next(each for each in change.gates if each.key == _LOSS)
    return Judgement(change.is_beyond_chance, gate.verdict, len(change.changed_classes))


def without(states: Mapping[int, State], *left_out: int) -> TrainingNoise:
    """Return the noise of training by all seeds but some."""
    left = {seed: state for seed, state in states.items() if seed not in left_out}
    return training_noise.of(_top1(left), states[BASE].params)


def _print(states: Mapping[int, State], settings: GatesParams) -> None:
    known = without(states)
    print(
        f"{known.seeds} trainings: {known.mean:.2f} % of the test images on average, standard "
        f"deviation of one {known.deviation:.2f} points\n"
    )
    print("| seed | top-1 | points | won | lost | p | without: diff, gate | with: diff, gate |")
    print("|---:|---:|---:|---:|---:|---:|---|---|")
    found = []
    for seed in states:
        if seed == BASE:
            continue
        then, now = states[BASE], states[seed]
        alone = judge(then, now, settings, None)
        both = judge(then, now, settings, without(states, BASE, seed))
        compared = paired_answers.compare(
            then.results.answers, now.results.answers, now.results.labels
        )
        found.append((alone, both))
        cells = [
            str(seed),
            f"{now.results.product.top1:.2f}",
            f"{compared.gain:+.2f}",
            str(compared.won),
            str(compared.lost),
            f"{compared.p_value:.3f}",
            _told(alone),
            _told(both),
        ]
        print(f"| {' | '.join(cells)} |")
    print(f"\n{_counted('retrainings', found)}")
    pairs = [
        (
            judge(states[one], states[other], settings, None),
            judge(states[one], states[other], settings, without(states, one, other)),
        )
        for one, other in combinations(states, 2)
    ]
    print(_counted("pairs of trainings", pairs))


def _told(judged: Judgement) -> str:
    named = f", {judged.num_classes} classes" if judged.num_classes else ""
    return f"{'beyond chance' if judged.is_beyond_chance else 'within'}, {judged.gate}{named}"


def _counted(name: str, found: list[tuple[Judgement, Judgement]]) -> str:
    alone, both = (sum(pair[side].is_false for pair in found) for side in (0, 1))
    return (
        f"of {len(found)} {name} {alone} are called beyond chance or broken, or a class of them "
        f"changed, without the noise of training, {both} with it"
    )


if __name__ == "__main__":
    main()
