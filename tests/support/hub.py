"""A small Hugging Face Hub on this machine: enough of it to download a model, or to be refused."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "a" * 40
TOKEN = "hf_of_someone_with_access"


@contextmanager
def hub(**repositories: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve folders as `owner/<name>`; give the address and, as they come, the paths asked for.

    `owner/gated` is `tiny` for those with `TOKEN`; the files of `owner/broken` break off; any
    other repository does not exist.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            asked.append(self.path)
            path = self.path.partition("?")[0].removeprefix("/api/models").strip("/")
            owner, name, *rest = path.split("/")
            folder = repositories.get(name)
            headers: dict[str, str] = {"X-Repo-Commit": COMMIT}
            content = b"{}"
            trusted = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            if name == "gated" and trusted:
                folder = repositories["tiny"]
            if name == "gated" and not trusted:
                status, headers["X-Error-Code"] = 403, "GatedRepo"
            elif not folder:
                status, headers["X-Error-Code"] = 401, "RepoNotFound"
            elif rest[:1] == ["resolve"]:
                file = folder.joinpath(*rest[2:])
                if file.is_file():
                    status, content = 200, file.read_bytes()
                    headers["ETag"] = f'"{sha1(content).hexdigest()}"'
                else:
                    status, headers["X-Error-Code"] = 404, "EntryNotFound"
            else:
                files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
                sizes = {str(file.relative_to(folder)): file.stat().st_size for file in files}
                info = {"id": f"{owner}/{name}", "sha": COMMIT}
                info["siblings"] = [{"rfilename": path} for path in sizes]
                if rest[:1] == ["tree"]:
                    info = [
                        {"type": "file", "path": path, "size": size, "oid": "0" * 40}
                        for path, size in sizes.items()
                    ]
                status, content = 200, json.dumps(info).encode()
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                broken = name == "broken" and rest[:1] == ["resolve"]
                self.wfile.write(content[: len(content) // 2] if broken else content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
