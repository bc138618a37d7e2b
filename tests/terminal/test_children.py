"""chat.child: what processes beside this one write where nobody reads the log."""

import logging

import pytest

from chat import child


@pytest.mark.parametrize("level", [logging.WARNING, logging.CRITICAL])
def test_what_one_says_of_its_errors_is_for_those_who_read_the_log(
    level: int, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(level, "chat"):
        child.start("chat.no_such_module").wait()
    assert ("no_such_module" in capfd.readouterr().err) is (level < logging.CRITICAL)
