"""chat.web.address: where the page can be reached."""

import pytest

from chat.errors import SettingsError
from chat.settings import Settings
from chat.web import address


@pytest.mark.parametrize("name", ["::1", "[::1]"])
def test_an_ipv6_address_is_as_in_a_url(name: str) -> None:
    try:
        listening, settings = address.listen(Settings(server_name=name))
    except SettingsError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with listening:
        assert settings.server_name == "[::1]"
        assert settings.server_port == listening.getsockname()[1]
