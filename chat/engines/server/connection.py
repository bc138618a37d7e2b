"""The way to a server: HTTP with a key, its events, and conversations by their names."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncGenerator, Mapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpx2

from chat.engines.server.refusals import Later, of_event, refusal
from chat.errors import Broken, ModelError

#: Seconds until there is a connection, and between two signs of life on it: a long prompt is read
#: in silence. There is no limit for the whole of a reply.
CONNECT, SILENCE = 5.0, 60.0
#: Seconds for which a connection is kept that nobody uses; some servers close theirs after five.
KEPT = 2.0
UNUSABLE = (
    "The server cannot be asked by the proxy that ALL_PROXY, HTTP_PROXY or HTTPS_PROXY names: give "
    "an http:// one, or name the server in NO_PROXY."
)


class Connection:
    """To the server at `url`, which ends in no slash and no /v1."""

    def __init__(self, url: str, key: str = "") -> None:
        self.url = url
        #: Seconds between two signs of life, if they are others than `SILENCE`.
        self.silence: float | None = None
        self._key = key
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._context = httpx2.create_ssl_context()
        # Proxies that the environment names are for what is far: to one they would show the key.
        self._by_proxy = not _is_near(url)
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient] = (
            WeakKeyDictionary()
        )

    def ask(
        self, path: str, body: Mapping[str, Any] | None = None, silence: float = SILENCE
    ) -> tuple[int, Any]:
        """Ask for one answer, and wait for it; returns its status, and its JSON if it has some.

        What follows a prompt may take `silence` seconds to come.

        Raises:
            httpx2.TransportError: nobody answers.
            ModelError: the environment names a proxy that cannot be used.
        """
        method = "GET" if body is None else "POST"
        timeout = httpx2.Timeout(silence if body else CONNECT, connect=CONNECT)
        try:
            asking = httpx2.Client(
                verify=self._context,
                headers=self._headers,
                timeout=timeout,
                trust_env=self._by_proxy,
            )
        except (ImportError, ValueError):
            raise ModelError(UNUSABLE) from None
        with asking as client, client.stream(method, self.url + path, json=body) as answer:
            try:
                return answer.status_code, json.loads(answer.read())
            except (ValueError, RecursionError, httpx2.DecodingError):
                return answer.status_code, None

    async def events(
        self, path: str, body: Mapping[str, Any], session: str
    ) -> AsyncGenerator[dict[str, Any]]:
        """Give the events of an answer, until the server says that these are all.

        Closing the generator hangs up.

        Raises:
            Later: nobody takes the request now.
            Broken: the connection ended, or there is no sense in what came.
            EngineError, TooLong: it was refused.
        """
        headers = {"x-session-id": session} if session else {}
        for last in (False, True):
            heard = False
            try:
                async with self._client().stream(
                    "POST", self.url + path, json=body, headers=headers
                ) as answer:
                    heard = True
                    if answer.status_code != 200:
                        wait = answer.headers.get("retry-after", "")
                        raise refusal(answer.status_code, await answer.aread(), wait)
                    async for event in _parsed(answer):
                        yield event
                return
            except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout):
                raise Later(full=False) from None
            except httpx2.TimeoutException:
                # Before there is an answer, it may stand in a line that is kept in silence.
                raise (Broken() if heard else Later(full=True, silent=True)) from None
            except httpx2.TransportError:
                # One that was kept, and that the server closed just now, is no fault of anybody.
                if heard or last:
                    raise Broken from None

    def name(self, session: str, attempt: int) -> str:
        """Return what the server may know a conversation by: 32 hex digits, or nothing.

        Only who has the key could tell which one it is. From the third attempt on it is another,
        so that what shares conversations out does not give it to the same replica for ever.
        """
        if not session:
            return ""
        text = f"{session}.{attempt}" if attempt > 1 else session
        if self._key:
            return hmac.digest(self._key.encode(), text.encode(), "sha256").hex()[:32]
        return text if text == session else hashlib.sha256(text.encode()).hexdigest()[:32]

    def close(self) -> None:
        """Close what is open."""
        for loop, client in list(self._clients.items()):
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(client.aclose(), loop)

    def _client(self) -> httpx2.AsyncClient:
        """Return that of this event loop, to which its connections belong."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = httpx2.AsyncClient(
                verify=self._context,
                headers=self._headers,
                trust_env=self._by_proxy,
                timeout=httpx2.Timeout(self.silence or SILENCE, connect=CONNECT),
                limits=httpx2.Limits(max_keepalive_connections=64, keepalive_expiry=KEPT),
            )
        return self._clients[loop]


def _is_near(url: str) -> bool:
    """Whether a server is on this machine or in its own network, as far as its name tells."""
    name = urlsplit(url).hostname or ""
    try:
        return ip_address(name).is_private
    except ValueError:
        return "." not in name or name.endswith((".localhost", ".internal"))


async def _parsed(answer: httpx2.Response) -> AsyncGenerator[dict[str, Any]]:
    """Give the JSON of server-sent events, each of which is on one line, and raise their errors."""
    rest = b""
    async for chunk in answer.aiter_bytes():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            field, _, data = line.partition(b":")
            if field != b"data" or not data.strip():
                continue
            if data.strip() == b"[DONE]":
                return
            try:
                event = json.loads(data)
            except ValueError:
                raise Broken from None
            if not isinstance(event, dict):
                raise Broken
            if error := event.get("error"):
                raise of_event(error)
            yield event
