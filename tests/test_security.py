"""SECURITY.md says what is so of the packages that are locked."""

import re
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "SECURITY.md").read_text().splitlines()
    if re.match(r"\| (CVE|GHSA|PYSEC)-", line)
]
LOCKED = dict(
    pin.split("==")
    for file in ROOT.glob("requirements-lock*.txt")
    for pin in re.findall(r"^(\S+==\S+)", file.read_text(), re.MULTILINE)
)


def not_reached(says: str) -> bool:
    return "*not reached*" in says


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_what_is_said_to_be_mended_is(row: list[str]) -> None:
    _, package, affected, says = row
    is_affected = SpecifierSet(affected.strip("`"), prereleases=True).contains(LOCKED[package])
    assert is_affected == not_reached(says)


def test_each_is_listed_once() -> None:
    ids = [id for row in ROWS for id in row[0].split(", ")]
    assert len(ids) > 50
    assert len(set(ids)) == len(ids)
    for id in ids:
        assert re.fullmatch(r"CVE-\d{4}-\d+|PYSEC-\d{4}-\d+|GHSA(-[0-9a-z]{4}){3}", id)


def test_what_ci_lets_pass_is_said_not_to_be_reached() -> None:
    lines = (ROOT / ".ci/audit-ignored").read_text().splitlines()
    ignored = {line.split()[0] for line in lines if not line.startswith("#")}
    assert ignored == {row[0] for row in ROWS if not_reached(row[3])}
