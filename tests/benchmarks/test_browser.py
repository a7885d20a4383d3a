import pytest

from benchmarks import browser


@pytest.mark.parametrize(
    ("page", "own", "expected"),
    [
        ("boot, 98.1 %", "boot, 98.2 %", True),
        ("boot, 98.1 %", "boot, 97.2 %", False),
        ("boot, 98.1 %", "a, boot, 98.1 %", False),
        ("cannot be classified: no image", "a.txt: cannot be decoded", True),
        ("cannot be classified: no image", "boot, 98.1 %", False),
        ("boot, 98.1 %", "a.txt: cannot be decoded", False),
    ],
)
def test_one_answer_or_two_errors_are_the_same(page: str, own: str, expected: bool) -> None:
    assert browser._are_same(page, own) == expected
