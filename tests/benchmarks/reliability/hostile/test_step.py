"""benchmarks.reliability.hostile: what files that mean harm are made of; test_quick tries them."""

from pathlib import Path

from benchmarks.reliability.hostile.cases import Case, cases
from benchmarks.reliability.hostile.good import CONVERSATIONS, make_good
from benchmarks.reliability.hostile.step import look


def test_the_same_seed_makes_the_same(tmp_path: Path) -> None:
    one, other = ([case.description for case in cases(3, 14, tmp_path / name)] for name in "ab")
    assert one == other


def test_nothing_is_wrong_with_what_they_are_made_of(tmp_path: Path) -> None:
    make_good(tmp_path / "good")
    made = [
        Case(kind, "good", str(tmp_path / "good" / name))
        for kind, name in (
            ("gguf", "good.gguf"),
            ("safetensors", "safetensors"),
            ("openvino", "openvino"),
            ("adapter", "adapter"),
            *(("import", f"{name}.json") for name in CONVERSATIONS),
        )
    ]
    for looked in look(iter(made), tmp_path / "cache"):
        assert not looked.broken, looked
        assert looked.sentence.split()[-1] in ("yes", "fits.", "[]"), looked
