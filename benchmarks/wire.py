"""HTTP for the load client: JSON there and back, and streams of server-sent events.

asyncio's streams and nothing else, since the client shares the cores with the
server that it measures, and a library costs several times as much for each
event of a stream. Connections are kept alive, as a browser keeps them.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

NONE: Mapping[str, str] = MappingProxyType({})
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
#: Seconds in which a server is connected to, and the most characters that one is quoted with.
PATIENCE, LONGEST = 30, 200


class Refused(ConnectionError):
    """A server answered a request with a status other than 200; says what it said."""

    def __init__(self, url: str, status: int, answer: Any) -> None:
        super().__init__(f"{url} answered {status}: {sentence(answer)}")
        self.status = status


class Answer(NamedTuple):
    """The head of a response, and the connection that its body comes through."""

    status: int
    headers: dict[str, str]
    connection: Connection


class Wire:
    """Requests to one server, each with these headers too."""

    def __init__(self, url: str, headers: Mapping[str, str] = NONE) -> None:
        address = urlsplit(url)
        self._url = url
        self._tls = _tls() if address.scheme == "https" else None
        self._host, self._port = str(address.hostname), address.port or (443 if self._tls else 80)
        self._name = address.netloc.rpartition("@")[2]
        self._under = address.path.rstrip("/")
        self._headers = headers
        #: Bytes of streams of events that have come.
        self.received = 0
        self._idle: list[Connection] = []
        self._streams: list[Connection] = []

    async def connect(self) -> None:
        """Have a connection, so that the next request need not wait for one."""
        self._idle.append(await self._connect())

    async def json(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Post `body`, or get `path` without one; return the status and what came back."""
        answer = await self._ask(path, body)
        found = await _read(answer)
        self._idle.append(answer.connection)
        return answer.status, found

    async def events(self, path: str, body: Any = None) -> AsyncGenerator[Any]:
        """Post `body`, or get `path` without one; yield the data of each event, until they end."""
        answer = await self._ask(path, body)
        try:
            if answer.status != 200:
                raise Refused(self._url + path, answer.status, await _read(answer))
            rest = b""
            async for part in _body(answer):
                self.received += len(part)
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    # Nobody here has data of several lines.
                    data = line[5:].strip() if line.startswith(b"data:") else b""
                    if data not in (b"", b"[DONE]"):
                        yield json.loads(data)
        except BaseException:
            answer.connection[1].close()
            raise
        self._idle.append(answer.connection)

    async def hold(self, path: str) -> None:
        """Open a stream that is not read, until `close`."""
        connection = await self._connect()
        self._streams.append(connection)
        await self._send(connection, path, None)

    def close(self) -> None:
        """Close what is open."""
        for _, writer in self._idle + self._streams:
            writer.close()

    async def _ask(self, path: str, body: Any) -> Answer:
        """Ask on an open connection, or on a new one if there is none that still is.

        The server closes connections that were idle for some seconds, which may
        show only once something is sent.
        """
        while True:
            reused = bool(self._idle)
            connection = self._idle.pop() if reused else await self._connect()
            try:
                return await self._send(connection, path, body)
            except BaseException as error:
                connection[1].close()
                if not (reused and isinstance(error, OSError | asyncio.IncompleteReadError)):
                    raise

    async def _connect(self) -> Connection:
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.open_connection(
                    self._host, self._port, limit=2**24, ssl=self._tls
                )
        except OSError as error:
            why = str(error) or f"no connection in {PATIENCE} s"  # of a TimeoutError
            raise ConnectionError(f"{self._url} cannot be reached: {why}") from None

    async def _send(self, connection: Connection, path: str, body: Any) -> Answer:
        reader, writer = connection
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{'GET' if body is None else 'POST'} {self._under}{path} HTTP/1.1\r\n"
        for name, value in {"Host": self._name, **self._headers}.items():
            head += f"{name}: {value}\r\n"
        if content:
            head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        writer.write(head.encode() + b"\r\n" + content)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
        fields = (line.partition(":") for line in lines if line)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        return Answer(int(first.split()[1]), headers, connection)


async def _body(answer: Answer) -> AsyncGenerator[bytes]:
    """Yield the parts of a body, as they come."""
    reader = answer.connection[0]
    if answer.headers.get("transfer-encoding") != "chunked":
        if length := answer.headers.get("content-length"):
            yield await reader.readexactly(int(length))
        else:  # until the server closes
            while part := await reader.read(2**16):
                yield part
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")


async def _read(answer: Answer) -> Any:
    """Return the JSON of a body, or its text as an error."""
    raw = b"".join([part async for part in _body(answer)])
    try:
        return json.loads(raw)
    except json.JSONDecodeError:
        return {"error": raw.decode(errors="replace")}


def sentence(answer: Any) -> str:
    """Return what a server says of an error in the JSON of its answer."""
    while isinstance(answer, dict):
        known = (answer[name] for name in ("error", "message", "detail") if answer.get(name))
        answer = next(known, str(answer))
    return " ".join(str(answer).split())[:LONGEST]


@cache
def _tls() -> ssl.SSLContext:
    """Return what connections have in common, which takes long to make."""
    return ssl.create_default_context()
