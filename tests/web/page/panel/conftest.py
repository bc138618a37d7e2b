"""What the tests of the panel share."""

import pytest

from chat.web.page.panel.saved import SavedConversations
from chat.web.page.panel.seal import Seal


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> SavedConversations:
    return SavedConversations(Seal(tmp_path_factory.mktemp("data")))
