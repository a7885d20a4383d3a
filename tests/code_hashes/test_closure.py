from pathlib import Path
from typing import Any

import pytest
import toy

from slimline import params
from slimline.code_hashes.closure import Code

VALUES = params.flat(params.read(toy.ROOT / "params.yaml"))

_FILES = {
    "stages/first.py": "import slimline.shared\nfrom slimline.networks import NETWORKS\n",
    "stages/second.py": (
        "from slimline.networks import NETWORKS\nfrom slimline.makers import MAKERS\n"
    ),
    "slimline/__init__.py": "",
    "slimline/shared.py": "def lazy():\n    from slimline import deep\n",
    "slimline/deep.py": "",
    "slimline/idle.py": "",
    "slimline/lazy_registry.py": "class Registry: ...\n",
    "slimline/networks.py": (
        "from slimline.lazy_registry import Registry\n"
        "NETWORKS = Registry({'one': 'slimline.families:ONE', 'two': 'slimline.families:TWO'},\n"
        "    chosen_by=('first.network', 'second.network'))\n"
    ),
    "slimline/families.py": (
        "from slimline import of_one, of_two\nONE = of_one.make()\nTWO = of_two.make()\n"
    ),
    "slimline/of_one.py": "",
    "slimline/of_two.py": "",
    "slimline/targets.py": (
        "from slimline.lazy_registry import Registry\n"
        "TARGETS = Registry({'cpu': 'slimline.cpu'}, always=('cpu',))\n"
    ),
    "slimline/makers.py": "from slimline.targets import TARGETS\nMAKERS = TARGETS.part('maker')\n",
    "slimline/cpu/__init__.py": "",
    "slimline/cpu/maker.py": "",
    "slimline/cpu/reader.py": "",
    "slimline/cpu/tables/names.tsv": "a\tb\n",
    "slimline/cpu/inner/__init__.py": "",
    "slimline/cpu/inner/other.tsv": "not of this package\n",
    "own/__init__.py": "",
    "own/mine.py": "from own import layers\ndef build(): return layers\ndef other(): return 2\n",
    "own/layers.py": "",
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in _FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def digests(root: Path, stage: str, **values: Any) -> dict[str, str]:
    chosen = {"first.network": "one", "second.network": "two"}
    chosen |= {key.replace("__", "."): value for key, value in values.items()}
    return Code(root).digests(Path("stages", f"{stage}.py"), chosen)


def test_lazy_imports_count_and_strangers_do_not(root: Path) -> None:
    found = digests(root, "first")
    assert "slimline/deep.py" in found
    assert "slimline/idle.py" not in found


def test_of_a_registry_the_chosen_entries_count(root: Path) -> None:
    first, second = digests(root, "first"), digests(root, "second")
    assert "slimline/of_one.py" in first
    assert "slimline/of_two.py" not in first, "a later section chose it"
    assert {"slimline/of_one.py", "slimline/of_two.py"} <= set(second)


def test_a_word_that_is_no_entry_chooses_nothing(root: Path) -> None:
    kept = digests(root, "second", second__network="keep")
    assert "slimline/of_one.py" in kept
    assert "slimline/of_two.py" not in kept


def test_one_more_entry_changes_nothing(root: Path) -> None:
    before = digests(root, "first"), digests(root, "second")
    networks, families = root / "slimline" / "networks.py", root / "slimline" / "families.py"
    text = networks.read_text()
    networks.write_text(text.replace("'two':", "'three': 'slimline.families:THREE', 'two':"))
    families.write_text(f"{families.read_text()}THREE = of_one.make(3)\n")
    assert (digests(root, "first"), digests(root, "second")) == before


def test_a_change_of_an_entry_is_one_for_those_who_chose_it(root: Path) -> None:
    before = digests(root, "first"), digests(root, "second")
    families = root / "slimline" / "families.py"
    families.write_text(families.read_text().replace("of_two.make()", "of_two.make(2)"))
    assert digests(root, "first") == before[0]
    assert digests(root, "second") != before[1]


def test_another_choice_is_another_code(root: Path) -> None:
    assert digests(root, "first") != digests(root, "first", first__network="two")


def test_a_list_chooses_several(root: Path) -> None:
    found = digests(root, "first", first__network=["one", "two"])
    assert {"slimline/of_one.py", "slimline/of_two.py"} <= set(found)


def test_a_part_of_a_target_comes_without_its_other_parts(root: Path) -> None:
    found = digests(root, "second")
    assert "slimline/cpu/maker.py" in found
    assert "slimline/cpu/reader.py" not in found


def test_what_lies_beside_a_module_counts(root: Path) -> None:
    before = digests(root, "second")
    assert "slimline/cpu/tables/names.tsv" in before
    assert "slimline/cpu/inner/other.tsv" not in before
    (root / "slimline" / "cpu" / "tables" / "names.tsv").write_text("a\tc\n")
    assert digests(root, "second") != before


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("from .layers import block", "block()"),
        ("from . import layers", "layers.block()"),
        ("from .layers import *", "block()"),
        ("from own.layers import *", "block()"),
    ],
)
def test_own_networks_may_import_in_any_form(line: str, call: str, root: Path) -> None:
    (root / "own" / "layers.py").write_text("def block(): return 1\n")
    (root / "own" / "mine.py").write_text(f"{line}\ndef build(): return {call}\n")
    found = digests(root, "first", first__network="own.mine:build")
    (root / "own" / "layers.py").write_text("def block(): return 2\n")
    assert digests(root, "first", first__network="own.mine:build") != found


_BY_DECORATOR = """
from own.layers import BLOCKS, register

@register
class Stem:
    width = 1

def build(): return BLOCKS["Stem"]
"""
_BY_SUBCLASS = """
from own.layers import Base

class Stem(Base):
    width = 1

def build(): return Base.known["Stem"]
"""
_BY_IMPORT = """
import own.stem
from own.layers import BLOCKS

def build(): return BLOCKS["Stem"]
"""


@pytest.mark.parametrize("text", [_BY_DECORATOR, _BY_SUBCLASS, _BY_IMPORT])
def test_what_registers_itself_in_an_own_network_counts(text: str, root: Path) -> None:
    """The function names no class that it uses, as timm's own and many users' do."""
    (root / "own" / "mine.py").write_text(text)
    (root / "own" / "stem.py").write_text("class Stem:\n    width = 1\n")
    found = digests(root, "first", first__network="own.mine:build")
    for path in (root / "own").glob("*.py"):
        path.write_text(path.read_text().replace("width = 1", "width = 2"))
    assert digests(root, "first", first__network="own.mine:build") != found


def test_own_networks_that_are_not_chosen_do_not_count(root: Path) -> None:
    found = digests(root, "first", first__network="own.mine:build")
    assert "own/layers.py" in found
    (root / "own" / "another.py").write_text("def build(): return 1\n")
    assert digests(root, "first", first__network="own.mine:build") == found


@pytest.mark.parametrize("stage", ["baseline_train", "prepare_data"])
def test_early_stages_run_nothing_of_later_ones(stage: str) -> None:
    found = Code(toy.ROOT).digests(Path("stages", f"{stage}.py"), VALUES)
    assert not [path for path in found if "pruning" in path or "quantization" in path]


def test_no_docstring_reaches_what_a_stage_writes() -> None:
    # Docstrings do not count as code, so no code may read them; help texts are no stage's.
    source = Code(toy.ROOT)
    scripts = {*(toy.ROOT / "stages").glob("*.py")} - {toy.ROOT / "stages" / "validate_params.py"}
    for script in scripts:
        for path in source.digests(script.relative_to(toy.ROOT), VALUES):
            text = (toy.ROOT / path).read_text(encoding="utf-8")
            for word in ("__doc__", "getdoc", "getsource", "json_schema(", "model_fields["):
                assert word not in text, path
