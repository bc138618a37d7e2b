"""What the tests of the panel share."""

from collections.abc import Iterator

import pytest

from chat.web.page.panel.saved import SavedConversations
from chat.web.page.panel.seal import Seal
from tests.support.saved import answer_here


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> SavedConversations:
    return SavedConversations(Seal(tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def read_here() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chat.child.answer", answer_here)
        yield
