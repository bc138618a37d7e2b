"""deploy/haproxy.cfg, in a real HAProxy: who is sent where."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from threading import Thread

import httpx
import pytest
from gradio_client import Client

from tests.support.haproxy import CONFIGURATION, HAPROXY, haproxy
from tests.support.paged import paged

#: What a proxy tells of those whom it serves.
FORWARDED = ("X-Forwarded-For", "X-Forwarded-Proto")
SECRET = {"CHAT_CONVERSATIONS_KEY": "the same secret for all of these pages"}


def test_haproxy_takes_the_configuration() -> None:
    checked = subprocess.run(
        [str(HAPROXY), "-c", "-f", str(CONFIGURATION)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    # There are no pages of these names here.
    warnings = [line for line in checked.stderr.splitlines() if "[WARNING]" in line]
    assert all("could not resolve address" in line for line in warnings), warnings


class Named(BaseHTTPRequestHandler):
    """Says its server's name, whom it is told of, and at /health whether that is well."""

    def do_GET(self) -> None:
        well = self.server.well or self.path != "/health"  # type: ignore[attr-defined]
        self.send_response(200 if well else 503)
        for name in FORWARDED:
            self.send_header(f"said-{name}", str(self.headers.get_all(name)))
        self.end_headers()
        self.wfile.write(str(self.server.server_port).encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def named_servers() -> Iterator[list[ThreadingHTTPServer]]:
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Named) for _ in range(2)]
    with ExitStack() as ending:
        for server in servers:
            server.well = True  # type: ignore[attr-defined]
            Thread(target=server.serve_forever, daemon=True).start()
            ending.callback(server.server_close)
            ending.callback(server.shutdown)
        yield servers


def asked(url: str, session: str) -> str:
    return httpx.get(url, headers={"x-session-id": session}).text


def test_a_conversation_stays_at_its_backend_and_moves_only_if_that_is_not_well(
    tmp_path: Path,
) -> None:
    sessions = [f"{number:032x}" for number in range(40)]
    with named_servers() as servers:
        urls = [f"http://127.0.0.1:{server.server_port}" for server in servers]
        with haproxy(tmp_path, backends=urls) as (_, url):
            first = [asked(url, session) for session in sessions]
            assert [asked(url, session) for session in sessions] == first
            shares = Counter(first)
            assert len(shares) == 2
            assert min(shares.values()) >= 8
            ill, well = servers
            ill.well = False  # type: ignore[attr-defined]
            while {asked(url, session) for session in sessions} != {str(well.server_port)}:
                pass
            ill.well = True  # type: ignore[attr-defined]
            while [asked(url, session) for session in sessions] != first:
                pass


def test_a_browser_stays_at_its_page_and_figures_are_not_shown_to_all(tmp_path: Path) -> None:
    with named_servers() as servers:
        urls = [f"http://127.0.0.1:{server.server_port}" for server in servers]
        with haproxy(tmp_path, pages=urls, backends=urls) as (url, inside):
            people = [httpx.Client() for _ in range(6)]
            seats = [person.get(url).text for person in people]
            assert len(set(seats)) == 2
            for _ in range(3):
                assert [person.get(url).text for person in people] == seats
            ways = ("/metrics", "/%6detrics", "//metrics", "/metrics/", "/%2Fmetrics?a=1")
            ways += ("/chat/metrics",)
            for door, written in product((url, inside), ways):
                way = HTTPConnection(httpx.URL(door).netloc.decode())
                way.request("GET", written)
                assert way.getresponse().status == 404, written
                way.close()
            for person in people:
                person.close()


def test_a_page_that_drains_keeps_its_tabs_and_gets_nobody_new(tmp_path: Path) -> None:
    with named_servers() as servers, ExitStack() as people:
        urls = [f"http://127.0.0.1:{server.server_port}" for server in servers]
        with haproxy(tmp_path, pages=urls) as (url, _):
            tab = people.enter_context(httpx.Client())
            own = tab.get(url).text
            (other,) = {str(server.server_port) for server in servers} - {own}
            (draining,) = (server for server in servers if str(server.server_port) == own)
            draining.well = False  # type: ignore[attr-defined]
            while own in (httpx.get(url).text for _ in range(4)):
                pass
            assert [tab.get(url).text for _ in range(4)] == [own] * 4
            draining.shutdown()
            draining.server_close()
            assert tab.get(url).text == other


def test_nobody_says_whose_address_they_have(tmp_path: Path) -> None:
    with named_servers() as servers:
        urls = [f"http://127.0.0.1:{server.server_port}" for server in servers]
        with haproxy(tmp_path, pages=urls) as (url, _):
            forged = dict.fromkeys(FORWARDED, "203.0.113.7")
            told = httpx.get(url, headers=forged).headers
            assert [told[f"said-{name}"] for name in FORWARDED] == ["['127.0.0.1']", "None"]


def test_clients_of_gradio_chat_through_it_and_the_one_whose_page_is_killed_goes_on(
    tmp_path: Path,
) -> None:
    with ExitStack() as running:
        pages = [running.enter_context(paged(variables=SECRET)) for _ in range(2)]
        urls = [page for page, _ in pages]
        url, _ = running.enter_context(haproxy(tmp_path, pages=urls))

        def chat(number: int) -> list[str]:
            client = Client(url, verbose=False)
            ask = [f"{number}, {turn}" for turn in range(3)]
            return [client.predict(one, api_name="/chat")[0] for one in ask]

        with ThreadPoolExecutor(8) as pool:
            said = list(pool.map(chat, range(8)))
        assert said == [[f"Re: {number}, {turn}" for turn in range(3)] for number in range(8)]
        clients = [Client(url, verbose=False) for _ in range(4)]
        jobs = [client.submit("Count to 50", api_name="/chat") for client in clients]
        for job in jobs:
            next(iter(job))
        figures = httpx.get(f"{urls[0]}metrics").text
        running_there = re.search(r"num_requests_running{.*} (\d)", figures)
        pages[0][1].kill()
        lost = [job for job in jobs if job.exception(timeout=60)]
        assert len(lost) == int(running_there[1]) > 0
        whole = [f"{number:09}" for number in range(1, 51)]
        assert all(job.result()[0].split() == whole for job in jobs if job not in lost)
        again = Client(url, verbose=False).predict("Still there?", api_name="/chat")
        assert again[0] == "Re: Still there?"


@pytest.mark.parametrize("name", ["Authorization", "x-api-key"])
def test_a_key_and_a_request_without_a_cookie_come_through(name: str, tmp_path: Path) -> None:
    with paged("--api-key=sesame") as (page, _), haproxy(tmp_path, pages=[page, page]) as (url, _):
        key = {"Authorization": "Bearer sesame", "x-api-key": "sesame"}[name]
        assert httpx.get(f"{url}v1/models", headers={name: key}).status_code == 200
        assert httpx.get(f"{url}v1/models").status_code == 401
