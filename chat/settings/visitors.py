"""What those who come may have, and what browsers may do for other sites."""

import re
from ipaddress import ip_network

from pydantic import BaseModel, Field, field_validator

from chat.settings.paths import File


class BrowserSettings(BaseModel):
    """What pages of other sites may do, in browsers."""

    allowed_hosts: str = Field(
        "",
        description="the names of this server, such as chat.example.org or *.example.org, with "
        "commas between, where it cannot tell by itself, and of sites whose pages may ask it; once "
        "set, no other is taken unless a login or a key protects; * for all",
    )
    frame_ancestors: str | None = Field(
        None,
        description="which other sites may show the page in a frame, such as "
        "https://example.org, with commas between; * for all, none for not even its own; unless "
        "set, none but huggingface.co where the page is a Space",
    )

    @field_validator("allowed_hosts")
    @classmethod
    def _names(cls, text: str) -> str:
        names = text.replace(",", " ").split()
        if not all(re.fullmatch(r"\*|(\*\.)?[\w-]+(\.[\w-]+)*", name, re.ASCII) for name in names):
            raise ValueError("write names such as chat.example.org, without a port")
        return text

    @field_validator("frame_ancestors")
    @classmethod
    def _sites(cls, text: str | None) -> str | None:
        names = (text or "").replace(",", " ").split()
        site = r"\*|none|(https?://)?(\*\.)?[\w-]+(\.[\w-]+)*(:(\d+|\*))?"
        if not all(re.fullmatch(site, name, re.ASCII) for name in names):
            raise ValueError("write sites such as https://example.org")
        return text


class KeepSettings(BaseModel):
    """What becomes of a reply whose reader is gone."""

    keep_seconds: int = Field(
        60,
        ge=0,
        le=3600,
        description="how long a reply goes on when its page is reloaded, asleep or without a "
        "network, to be picked up again; it ends sooner if somebody else waits, and at once with 0",
    )


class VisitorSettings(BaseModel):
    """What one visitor may have of the server, and who that is."""

    visitor_places: int | None = Field(
        None,
        ge=0,
        description="how many replies one visitor may have at once, with those in line; 0 is no "
        "limit; unless set, a quarter of all places, and 2 at least",
    )
    visitor_requests: int = Field(
        60, ge=0, description="how many requests one visitor may send in a minute; 0 is no limit"
    )
    visitor_tokens: int = Field(
        500_000,
        ge=0,
        description="how many tokens of prompts and replies one visitor may have in an hour; 0 is "
        "no limit",
    )
    trusted_proxies: str = Field(
        "",
        description="the reverse proxies whose X-Forwarded-For is believed: addresses and "
        "networks, with commas between; those on the same machine always are",
    )
    api_keys: File | None = Field(
        None,
        description="a file with the keys of programs, one a line, each with a name and limits of "
        "its own (docs/api.md); read anew when it is changed",
    )
    session_hours: int = Field(336, ge=1, le=87_600, description="how long a login lasts, in hours")

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, proxies: str) -> str:
        return addresses(proxies)


def addresses(proxies: str) -> str:
    """Return addresses and networks with commas between, as uvicorn takes them.

    Raises:
        ValueError: one of them is none; says what to write.
    """
    named = [proxy.strip() for proxy in proxies.split(",") if proxy.strip()]
    for proxy in named:
        try:
            ip_network(proxy)
        except ValueError:
            raise ValueError("write addresses and networks such as 10.0.0.0/8") from None
    return ",".join(named)
