"""HTTP for the load client: JSON there and back, and streams of server-sent events.

asyncio's streams and nothing else, since the client shares the cores with the
server that it measures, and a library costs several times as much for each
event of a stream. Connections are kept alive, as a browser keeps them.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

NONE: Mapping[str, str] = MappingProxyType({})
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Answer(NamedTuple):
    """The head of a response, and the connection that its body comes through."""

    status: int
    headers: dict[str, str]
    connection: Connection


class Wire:
    """Requests to one server, each with these headers too."""

    def __init__(self, url: str, headers: Mapping[str, str] = NONE) -> None:
        address = urlsplit(url)
        self._tls = address.scheme == "https"
        self._host, self._port = str(address.hostname), address.port or (443 if self._tls else 80)
        self._under = address.path.rstrip("/")
        self._headers = headers
        #: Bytes of events that have come, with what parts them.
        self.received = 0
        self._idle: list[Connection] = []
        self._streams: list[Connection] = []

    async def json(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Post `body`, or get `path` without one; return the status and what came back."""
        connection, answer, raw = await self._ask(path, body)
        self._idle.append(connection)
        try:
            return answer.status, json.loads(raw)
        except json.JSONDecodeError:
            return answer.status, {"error": raw.decode(errors="replace")}

    async def events(self, path: str, body: Any = None) -> AsyncGenerator[Any]:
        """Post `body`, or get `path` without one; yield the data of each event, until they end."""
        connection = await self._connect()
        try:
            answer = await self._send(connection, path, body)
            if answer.status != 200:
                raise ConnectionError(f"{path} answered {answer.status}")
            rest = b""
            async for part in _body(answer):
                *events, rest = (rest + part).replace(b"\r\n", b"\n").split(b"\n\n")
                for event in events:
                    self.received += len(event) + 2
                    if event.startswith(b"data:") and event[5:].strip() != b"[DONE]":
                        yield json.loads(event[5:])
        finally:
            connection[1].close()

    async def hold(self, path: str) -> None:
        """Open a stream that is not read, until `close`."""
        connection = await self._connect()
        self._streams.append(connection)
        await self._send(connection, path, None)

    def close(self) -> None:
        """Close what is open."""
        for _, writer in self._idle + self._streams:
            writer.close()

    async def _ask(self, path: str, body: Any) -> tuple[Connection, Answer, bytes]:
        """Ask on an open connection, or on a new one if there is none that still is.

        The server closes connections that were idle for some seconds, which may
        show only once something is sent.
        """
        while True:
            reused = bool(self._idle)
            connection = self._idle.pop() if reused else await self._connect()
            try:
                answer = await self._send(connection, path, body)
                return connection, answer, b"".join([part async for part in _body(answer)])
            except (ConnectionError, asyncio.IncompleteReadError):
                connection[1].close()
                if not reused:
                    raise

    async def _connect(self) -> Connection:
        tls = self._tls or None
        return await asyncio.open_connection(self._host, self._port, limit=2**24, ssl=tls)

    async def _send(self, connection: Connection, path: str, body: Any) -> Answer:
        reader, writer = connection
        content = b"" if body is None else json.dumps(body).encode()
        head = f"{'GET' if body is None else 'POST'} {self._under}{path} HTTP/1.1\r\n"
        for name, value in {"Host": f"{self._host}:{self._port}", **self._headers}.items():
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
    while size := int(await reader.readline(), 16):
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
