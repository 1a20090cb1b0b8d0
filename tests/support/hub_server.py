"""A server on this machine that speaks as much of the hub's API as fetching a model needs.

What is served is real HTTP: lists of files, heads with hashes, parts of files by Range, a
connection that breaks half way, and the refusals of the hub.
"""

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

COMMIT = "c0ffee" + "0" * 34
TOKEN = "hf_allowed"
ALLOWED = f"Bearer {TOKEN}"
LARGE_BYTES = 1024  # from there on a file is stored by its SHA-256, as with Git LFS


class Hub:
    """The repositories that a server has, what goes wrong with them, and what it was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.gated: set[str] = set()
        self.broken: set[str] = set()
        self.cut: dict[str, int] = {}
        self.lies: dict[str, bytes] = {}
        self.asked: list[tuple[str, str, str | None]] = []
        self.ranges = True
        self.url = ""

    def fetched(self) -> Counter[str]:
        """How often the content of each file was asked for."""
        return Counter(
            path for method, path, _ in self.asked if method == "GET" and "/resolve" in path
        )

    def digest(self, content: bytes) -> str:
        if len(content) >= LARGE_BYTES:
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *words: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_GET(self) -> None:
        self._answer("GET")

    def _answer(self, method: str) -> None:
        path = unquote(self.path.partition("?")[0])
        self.hub.asked.append((method, path, self.headers.get("Range")))
        is_list = path.startswith("/api/models/")
        if not is_list and "/resolve/" not in path:  # what its client asks for itself
            return self._refuse(404, "")
        hub_id = "/".join(path.removeprefix("/api/models").split("/")[1:3])
        revision = path.partition("/revision/")[2] if is_list else path.split("/")[4]
        if hub_id in self.hub.broken:
            self._refuse(500, "")
        elif hub_id not in self.hub.files:
            self._refuse(401, "RepoNotFound")
        elif revision not in ("", "main", COMMIT):
            self._refuse(404, "RevisionNotFound")
        elif is_list:
            self._list(hub_id)
        elif hub_id in self.hub.gated and self.headers.get("Authorization") != ALLOWED:
            self._refuse(403 if self.headers.get("Authorization") else 401, "GatedRepo")
        else:
            self._serve(method, hub_id, path.split(f"/resolve/{revision}/")[1])
        return None

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _list(self, hub_id: str) -> None:
        siblings = []
        for name, content in self.hub.files[hub_id].items():
            digest = self.hub.digest(content)
            about = {"rfilename": name, "size": len(content), "blobId": digest[:40]}
            if len(content) >= LARGE_BYTES:
                about["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 130}
            siblings.append(about)
        body = json.dumps({"id": hub_id, "sha": COMMIT, "siblings": siblings}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _serve(self, method: str, hub_id: str, name: str) -> None:
        if name not in self.hub.files[hub_id]:
            return self._refuse(404, "EntryNotFound")
        content = self.hub.files[hub_id][name]
        digest = self.hub.digest(content)
        content = self.hub.lies.get(name, content)
        begin = 0
        if self.hub.ranges and (wanted := self.headers.get("Range")):
            begin = int(wanted.removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("ETag", f'"{digest}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        if method == "GET":
            end = self.hub.cut.get(name, len(content))
            self.wfile.write(content[begin : max(begin, end)])
            if end < len(content):
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()
        return None


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub without repositories, reachable at its url."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
