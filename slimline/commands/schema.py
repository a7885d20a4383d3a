"""Print the JSON Schema of params.yaml, for editors that complete and check it.

  python -m slimline schema > params.schema.json

It knows keys, types, ranges and choices; contradictions between sections are found by the stage
validate_params alone.
"""

import json
from argparse import ArgumentParser, Namespace


def add_arguments(_: ArgumentParser) -> None:
    """Declare the arguments: there are none."""


def run(_: Namespace) -> int:
    """Print the schema."""
    from slimline import schema

    print(json.dumps(schema.for_editors(), indent=2, sort_keys=True))
    return 0
