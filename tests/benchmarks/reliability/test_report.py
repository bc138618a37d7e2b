"""What was found stands in docs/RELIABILITY.md until the same step is run again."""

import re
from pathlib import Path

import pytest

from benchmarks.reliability import report
from benchmarks.reliability.__main__ import main
from benchmarks.reliability.report import BEGIN, END, Row
from benchmarks.reliability.steps import Found, Step

TESTS = Path(__file__).parents[2]
ONE = Step("one", "No one waits.", "nowhere.one", 10)
OTHER = Step("other", "Nothing is lost.", "nowhere.other", 10)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "RELIABILITY.md"
    file.write_text(f"Our words.\n{BEGIN}\n\n{END}\nMore words.\n")
    monkeypatch.setattr(report, "PAGE", file)
    monkeypatch.setattr(report, "STEPS", (ONE, OTHER))
    return file


def row(step: Step, *broken: str, share: float = 1.0, **figures: float) -> Row:
    return Row(step, share, Found(dict(figures), list(broken)), 7.0, 0.0)


def test_a_row_says_what_when_where_and_how_to_repeat_it(page: Path) -> None:
    report.write([row(ONE, people=200)], {"cpu": "a processor"})
    text = page.read_text()
    assert "### one" in text
    assert "No one waits." in text
    assert "As promised." in text
    assert "| people | 200 |" in text
    assert "`python -m benchmarks.reliability --only one`" in text
    assert "1970-01-01 00:00 UTC; cpu a processor" in text


def test_what_is_not_kept_is_said(page: Path) -> None:
    report.write([row(ONE, "Two waited.", share=0.5)], {})
    assert "**Not kept.** Two waited." in page.read_text()
    assert "--only one --share 0.5`" in page.read_text()


def test_rows_of_other_steps_and_our_own_words_stay_and_keep_their_order(page: Path) -> None:
    report.write([row(OTHER, lost=0.0)], {})
    report.write([row(ONE, people=200)], {})
    report.write([row(ONE, people=300)], {})
    text = page.read_text()
    assert text.index("### one") < text.index("### other")
    assert "300" in text
    assert "200" not in text
    assert text.startswith("Our words.")
    assert text.endswith("More words.\n")
    assert text.count("###") == 2


def test_each_guard_has_tests_that_are_there() -> None:
    _, _, guards = report.PAGE.read_text("utf-8").partition("\n## What guards it\n")
    rows = re.findall(r"^\| (?!guard|---)(.+) \| (.+) \|$", guards, re.MULTILINE)
    assert len(rows) > 30
    for guard, named in rows:
        for file in named.split(", "):
            assert (TESTS / file.strip("`")).is_file(), guard


def test_its_help_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "2% of the numbers" in said
    assert "--only" in said
