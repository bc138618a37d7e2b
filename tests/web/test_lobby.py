"""chat.web.lobby: what answers while the model loads."""

import re
import socket
from collections.abc import Iterator

import httpx
import pytest

from chat.web.lobby import PAGE, lobby, page
from chat.web.words import catalog
from tests.support.ports import free_port


def listen(port: int = 0) -> socket.socket:
    """Return a socket that listens as Gradio's does."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port or free_port()))
    listening.listen()
    return listening


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    listening = listen()
    port = listening.getsockname()[1]
    with lobby(listening):
        yield f"http://127.0.0.1:{port}"


def test_health_says_loading_and_nothing_else(url: str) -> None:
    answer = httpx.get(f"{url}/health")
    assert (answer.status_code, answer.json()) == (503, {"status": "loading"})


def test_the_process_lives_while_it_loads(url: str) -> None:
    answer = httpx.get(f"{url}/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "live"})


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/health", "/v1/models", "/gradio_api/call/chat", "/a/b"])
def test_everything_is_not_there_yet_and_says_when_to_ask_again(
    url: str, method: str, path: str
) -> None:
    answer = httpx.request(method, url + path)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Cache-Control"] == "no-store"


def test_programs_get_an_error_in_openais_shape(url: str) -> None:
    error = httpx.post(f"{url}/v1/chat/completions", json={}).json()["error"]
    assert "still loading" in error["message"]
    assert error.keys() == {"message", "type", "param", "code"}


def test_those_of_anthropics_get_one_in_its_shape(url: str) -> None:
    answer = httpx.post(f"{url}/v1/messages", json={}).json()
    assert (answer["type"], answer["error"]["type"]) == ("error", "overloaded_error")
    assert "still loading" in answer["error"]["message"]


def test_the_page_asks_no_other_host_and_may_not(url: str) -> None:
    assert httpx.get(url).text == page("Fourbit Chat", "en")
    assert not re.search(r"https?:|//|src=|url\(|@import", PAGE)
    assert "default-src 'none'" in PAGE


def test_the_port_is_free_afterwards_whoever_still_holds_a_connection() -> None:
    listening = listen()
    port = listening.getsockname()[1]
    with lobby(listening), httpx.Client() as client, socket.socket() as slow:
        assert client.get(f"http://127.0.0.1:{port}/").status_code == 503
        slow.connect(("127.0.0.1", port))
        slow.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
        assert slow.recv(12) == b"HTTP/1.1 503"
    listen(port).close()


def test_the_port_is_free_after_an_error_too() -> None:
    listening = listen()
    port = listening.getsockname()[1]
    with pytest.raises(KeyboardInterrupt), lobby(listening):
        raise KeyboardInterrupt
    listen(port).close()


def test_it_answers_below_the_path_that_a_proxy_adds() -> None:
    listening = listen()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with lobby(listening, "/a/chat"):
        for root in (url, f"{url}/a/chat"):
            assert httpx.get(f"{root}/health").json() == {"status": "loading"}
            assert "<h1>Fourbit Chat</h1>" in httpx.get(f"{root}/").text
            assert "error" in httpx.get(f"{root}/v1/models").json()
        assert httpx.get(f"{url}/a/chat?x=1").headers["Location"] == "chat/?x=1"


def test_it_is_called_as_its_host_calls_it_and_that_is_no_html() -> None:
    listening = listen()
    port = listening.getsockname()[1]
    with lobby(listening, title="Ann & Bob's <script>"):
        text = httpx.get(f"http://127.0.0.1:{port}/").text
    named = "Ann &amp; Bob&#x27;s &lt;script&gt;"
    assert f"<title>{named}</title>" in text
    assert f"<h1>{named}</h1>" in text


def test_it_speaks_the_language_of_the_browser(url: str) -> None:
    answer = httpx.get(url, headers={"Accept-Language": "ar,en;q=0.5"})
    said = catalog("ar")["Loading the model …"]
    assert '<html lang="ar" dir="rtl">' in answer.text
    assert f">{said}</p>" in answer.text
    assert "Accept-Language" in answer.headers["vary"]
    assert ">Loading the model …</p>" in httpx.get(url).text
