"""Benchmarks run by hand only: at least what they import is there."""

import importlib

import pytest
from toy import ROOT

SCRIPTS = sorted(path.stem for path in ROOT.glob("benchmarks/*.py"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_benchmark_finds_what_it_imports(name: str) -> None:
    assert importlib.import_module(f"benchmarks.{name}").__doc__
