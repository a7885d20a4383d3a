import json

import pytest
import toy

from slimline import params
from slimline.__main__ import main


def test_the_schema_knows_every_key_and_says_what_it_means(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"].endswith("2020-12/schema")
    assert set(schema["properties"]) == set(params.read(toy.ROOT / "params.yaml"))
    gates = schema["$defs"]["GatesParams"]
    assert gates["additionalProperties"] is False
    drop = gates["properties"]["max_top1_drop"]
    assert drop["description"].startswith("Percentage points")
    assert {"const": "none", "type": "string"} in drop["anyOf"]
    assert {"maximum": 100, "minimum": 0, "type": "number"} in drop["anyOf"]


def test_the_schema_that_editors_read_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    path = toy.ROOT / "params.schema.json"
    told = "it is stale: run `python -m slimline schema > params.schema.json`"
    assert path.read_text() == capsys.readouterr().out, told
    first = (toy.ROOT / "params.yaml").read_text().splitlines()[0]
    assert first == f"# yaml-language-server: $schema={path.name}"


def test_places_may_leave_out_what_they_share(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    known = json.loads(capsys.readouterr().out)["$defs"]
    assert "augment" in known["SharedRecipe"]["required"]
    assert "augment" not in known["Recipe"]["required"]
    assert "epochs" in known["Recipe"]["required"]
    own = known["Recipe"]["properties"]["augment"]["$ref"].rpartition("/")[2]
    assert "required" not in known[own], "an exception may be one key"
    assert known[own]["additionalProperties"] is False
