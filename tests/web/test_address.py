"""chat.web.address: where the page can be reached."""

import socket

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


def test_two_colons_are_ipv6_alone_before_and_after_the_model_is_there() -> None:
    try:
        listening, _ = address.listen(Settings(server_name="::"))
    except SettingsError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with listening:
        assert listening.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
