import copy
import re
import subprocess
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import guides
import pytest
import toy
from ruamel.yaml import YAML

from slimline import params, schema
from slimline.commands import search as command
from slimline.errors import ParamsError
from slimline.search import space
from slimline.search.settings import SearchParams

PATH = Path("params.yaml")
WRITTEN = params.read(toy.ROOT / PATH)
THRESHOLD = {"prune.threshold": {"low": 0.1, "high": 0.6}}
WORKERS = sorted((toy.ROOT / "examples" / "workers").iterdir())
METHOD = {"prune.method": {"choices": ["structured_magnitude", "taylor"]}}


def content(searched: Any, **changes: Any) -> dict[str, Any]:
    changed = copy.deepcopy(WRITTEN)
    changed["search"] |= {"space": searched, **changes}
    return changed


def search(searched: Any, **changes: Any) -> SearchParams:
    return schema.check_content(content(searched, **changes), PATH).search


def test_the_default_searches_nothing() -> None:
    assert not search({}).space
    assert not WRITTEN["search"]["space"]


@pytest.mark.parametrize(
    "searched",
    [
        THRESHOLD,
        {"prune.recover.learning_rate": {"low": 0.001, "high": 0.1, "log": True}},
        {"prune.recover.batch_size": {"low": 32, "high": 64, "step": 16}},
        {"quantization.mixed.float_layers": {"choices": [[], ["fc"]]}},
        METHOD | {"prune.steps": {"low": 1, "high": 3, "only_if": {"prune.method": ["taylor"]}}},
        {"prune.rates": {"choices": ["uniform", "auto"]}}
        | {"sensitivity.shares": {"choices": [[], [0.2, 0.4]]}},
    ],
)
def test_what_can_be_searched(searched: Any) -> None:
    found = search(searched)
    assert set(found.keys) == set(searched)


@pytest.mark.parametrize(
    ("searched", "told"),
    [
        ({"prune.treshold": {"low": 0, "high": 1}}, "prune.treshold: is no setting that Slimline"),
        ({"prune.treshold": {"low": 0, "high": 1}}, "did you mean 'prune.threshold'?"),
        ({"prune.recover": {"choices": [1, 2]}}, "is a section; search single keys of it, as"),
        ({"prune.layers.conv1": {"low": 0.1, "high": 0.2}}, "is by names of layers"),
        ({"prune": {"threshold": {"low": 0.1, "high": 0.2}}}, "by dots, as prune.threshold"),
        (["prune.threshold"], "search.space: must name keys with the values"),
        (None, "search.space: must name keys with the values"),
        ({"prune.threshold": [0.1, 0.2]}, "must be written as {low: 0.2, high: 0.6}"),
        ({"prune.threshold": 0.3}, "must be written as {low: 0.2, high: 0.6}"),
        ({"prune.threshold": {"low": float("nan"), "high": 0.5}}, "low: must be a number"),
        ({"prune.threshold": {"choices": [float("nan"), 0.5]}}, "choices.0: must be true, false"),
        ({"prune.steps": {"choices": [2, 2.0]}}, "has a choice twice"),
        ({"backbone_swap.backbone": {"choices": ["resnet10", "resnet19"]}}, "must be one of"),
        ({"prune.threshold": {"low": 0, "high": 6}}, "prune.threshold: must be at most 0.9"),
        ({"prune.threshold": {"low": 0.6, "high": 0.1}}, "low must be below high"),
        ({"prune.threshold": {"low": 0.6}}, "must have low and high, or choices"),
        ({"prune.threshold": {"low": "a", "high": 1}}, "low: must be a number (given 'a')"),
        ({"prune.threshold": {"lo": 0.1}}, "prune.threshold.lo: is no setting"),
        ({"prune.threshold": {"low": 0.1, "high": 0.2, "step": 0.5}}, "step must fit"),
        ({"prune.threshold": {"low": 0.0, "high": 0.2, "log": True}}, "log needs a low above 0"),
        ({"prune.steps": {"low": 1.0, "high": 3.5}}, "prune.steps: should be a valid integer"),
        ({"prune.method": {"choices": ["taylor", "taylr"]}}, "search.space.prune.method: "),
        ({"prune.rates": {"choices": ["uniform", "auto"]}}, "auto needs a scan"),
        ({"baseline_train.recipe.epochs": {"low": 1, "high": 2}}, "cannot be searched"),
        ({"training.batch_size": {"low": 32, "high": 64}}, "as prune.recover.batch_size"),
        ({"seed": {"low": 1, "high": 9}}, "seed: decides what is measured"),
        (
            {"prune.steps": {"low": 1, "high": 3, "only_if": {"prune.method": ["taylor"]}}},
            "only_if: prune.method is no key of the space",
        ),
        (
            METHOD | {"prune.steps": {"low": 1, "high": 3, "only_if": {"prune.method": ["x"]}}},
            "prune.method never is 'x'",
        ),
        (
            METHOD
            | {"prune.steps": {"low": 1, "high": 3, "only_if": {"prune.method": ["taylor"]}}}
            | {
                "prune.max_drop": {
                    "choices": [1, 2],
                    "only_if": {"prune.method": ["structured_magnitude"], "prune.steps": [1]},
                }
            },
            "prune.max_drop: never counts: prune.method would have two values at once",
        ),
        (
            {
                "prune.steps": {"choices": [1, 2], "only_if": {"prune.max_drop": [1]}},
                "prune.max_drop": {"choices": [1, 2], "only_if": {"prune.steps": [1]}},
            },
            "search.space: only_if goes in a circle: prune.steps, prune.max_drop",
        ),
        (
            {
                "prune.target.macs": {"low": 0.3, "high": 0.8},
                "prune.target.params": {"low": 0.3, "high": 0.8},
            },
            "none of 100 settings drawn from it is allowed",
        ),
    ],
)
def test_a_wrong_space_is_refused_at_once(searched: Any, told: str) -> None:
    begun = time.process_time()
    with pytest.raises(ParamsError) as refused:
        search(searched)
    assert time.process_time() - begun < 5
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("params.yaml: search")


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"max_top1_drop": "none"}, "search.limits: must have max_top1_drop or min_top1"),
        ({"max_size_kib": 0}, "search.limits.max_size_kib: must be above 0"),
        ({"max_size": 9}, "search.limits.max_size: is no setting that Slimline knows"),
        ({"min_top1": 101}, "search.limits.min_top1: must be a number from 0 to 100"),
    ],
)
def test_limits_that_nothing_could_keep_or_miss_are_refused(
    limits: dict[str, Any], told: str
) -> None:
    with pytest.raises(ParamsError) as refused:
        search(THRESHOLD, limits=WRITTEN["search"]["limits"] | limits)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [("minimise", "latency"), ("sampler", "cmaes"), ("trials", 0), ("hours", 0), ("seed", "1")],
)
def test_a_goal_that_is_none_is_refused(key: str, value: Any) -> None:
    with pytest.raises(ParamsError, match=rf"^params\.yaml: search\.{key}: .+given") as refused:
        search(THRESHOLD, **{key: value})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"minimise": "latency_ms"},
        {"limits": WRITTEN["search"]["limits"] | {"max_latency_ms": 0.1}},
    ],
)
def test_latency_of_several_networks_has_no_table(changes: dict[str, Any]) -> None:
    searched = {"backbone_swap.backbone": {"choices": ["resnet8_w48", "resnet10"]}}
    assert search(searched).space
    with pytest.raises(ParamsError, match="a table of one network"):
        search(searched, **changes)


def test_settings_are_called_by_their_values() -> None:
    one = space.name({"prune.threshold": 0.5, "prune.steps": 1})
    assert space.name({"prune.steps": 1.0, "prune.threshold": 0.5}) == one
    assert space.name({"prune.threshold": 0.5, "prune.steps": 2}) != one


def test_the_start_is_what_the_file_has() -> None:
    assert space.start(search(THRESHOLD), WRITTEN, PATH) == {"prune.threshold": 0.3}
    assert (
        space.start(search({"prune.threshold": {"low": 0.4, "high": 0.6}}), WRITTEN, PATH) is None
    )


def test_a_key_counts_only_where_others_say_so() -> None:
    only_if = {"prune.method": ["taylor"]}
    found = search({"prune.steps": {"low": 1, "high": 3, "only_if": only_if}} | METHOD)
    for method, keys in (("taylor", 2), ("structured_magnitude", 1)):
        chosen = space.settle(found, lambda key, _, m=method: m if key == "prune.method" else 2)
        assert len(chosen) == keys
    assert space.count(found) == 6


def test_the_goal_in_the_guide_is_one() -> None:
    (block,) = guides.blocks(toy.ROOT / "docs" / "search.md", "yaml")
    given = YAML(typ="safe", pure=True).load(block)["search"]
    given["limits"] = WRITTEN["search"]["limits"] | given["limits"]
    assert len(search(given.pop("space"), **given).keys) == 5


@pytest.mark.parametrize("path", WORKERS, ids=lambda path: path.name)
def test_an_example_of_a_launcher_starts_a_worker(path: Path) -> None:
    text = path.read_text()
    told = re.findall(r"python -m slimline (search work .*--remote \w+)", text)
    assert told
    for line in told:
        parser = ArgumentParser()
        command.add_arguments(parser)
        assert parser.parse_args(line.split()[1:]).action == "work"
    if path.suffix == ".yaml":
        assert YAML(typ="safe", pure=True).load(text)
    elif path.suffix == ".py":
        compile(text, path.name, "exec")
    else:
        subprocess.run(["bash", "-n", str(path)], check=True)
