"""What `lumina serve` makes of requests that are malformed or mean harm: 2,000 of them, bounded.

    python benchmarks/serve_hostile.py [--num 2000] [--seed 0] [--seconds 3600]

A server with the demos runs as a process of its own, with an empty home, working folder and folder
for temporary files. Requests are drawn at random, the same for the same seed: broken HTTP, foreign
hosts and sites, addresses that climb, bodies with hostile values, broken forms, and files of every
modality, damaged and oversized, both to be read and as what a job begins with. Looked for are
answers with status 500, none at all, or in another shape than the errors of the API; anything of
the file system in an answer or in the error of a job; a file that is written outside the folder of
the server, or left there after its end; and a server that no longer answers. The last line counts;
the exit code is 1 where something was found.
"""

import argparse
import contextlib
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
SECONDS_TO_START = 600
SECONDS = 120.0  # for an answer; a machine with other work takes long
SECONDS_OF_BROKEN = 5.0  # for what may be half a request, of which the server awaits the rest
SMALL: dict[str, dict[str, Any]] = {
    "image": {"height": 32, "width": 32},
    "video": {"frames": 4, "height": 32, "width": 32},
    "audio": {"seconds": 0.25},
    "multiview": {"views": 4},
}
PROMPTS = {
    "image": "a red circle",
    "video": "a red circle moving to the right",
    "audio": "two short high beeps",
    "multiview": "a cube, red in front and blue behind",
}
FORMATS = {
    "image": ("png", "webp", "jpg"),
    "video": ("mp4", "gif", "webp"),
    "audio": ("wav", "flac", "ogg"),
    "multiview": ("png", "gif", "mp4", "glb", "ply"),
}
GIVEN = {"image": "image", "video": "frames", "audio": "sound", "multiview": "view"}
ADDRESSES = {
    "/v1/images/generations": "image",
    "/v1/videos": "video",
    "/v1/audio/generate": "audio",
    **{f"/v1/media/{name}": name for name in SMALL},
}
KEYS = (
    "prompt", "model", "n", "num_samples", "seed", "format", "size", "height", "width", "seconds",
    "frames", "fps", "views", "azimuths", "elevation", "num_steps", "num_inference_steps",
    "guidance_scale", "guidance.rule", "solver", "solver.name", "shift", "negative_prompt",
    "condition.image", "condition.mask", "condition.offset", "condition.strength",
    "condition.frames", "condition.sound", "condition.gap", "condition.label", "modality.vae",
    "modality", "checkpoint", "config", "out", "overwrite", "device", "dtype", "download",
    "text_cache", "adapters", "repeat", "prompt_file", "response_format", "output_format", "input",
    "audio_length", "extra_body", "stream", "user", "regions", "rope_scaling", "coarse.above",
    "token_budget", "__class__", "constructor", "../x", "a=b", "+modality", "hydra.run.dir",
)  # fmt: skip
TEXTS = (
    "", " ", "\0", "a\nb=1", "\ud800", "\u202e", "\x1b[2J", "${oc.env:HOME}", "${now:}", "$(id)",
    "/etc/passwd", "../../../etc/passwd", "file:///etc/passwd", "http://evil.example/x", "~/.ssh",
    "C:\\x", "x" * 9_999, "x" * 100_000, "null", "NaN", "1e999", "[1,2", "{}", "true", "dopri5",
    "hub/evil", "!!python/object", "__import__('os')", "%s%n", "image", "video", "🦊" * 50,
)  # fmt: skip
NUMBERS = (
    0, -1, 1, 10**9, -(10**9), 2**63, 10**400, 1e308, -0.0, 5e-324, 0.1, 7, 99_999, 1.5,
)  # fmt: skip
OTHERS: tuple[Any, ...] = (
    None, True, False, [], {}, [1] * 100, [[[[1]]]], {"a": {"b": []}}, [None], ["x"], [1, "x"],
    float("nan"), float("inf"), [float("nan")],
)  # fmt: skip
LITERALS = (b'{"prompt":' + b"9" * 5000 + b"}", b"[" * 50_000, b'{"a":' * 20_000, b"\xff\xfe", b"{",
            b"", b"null", b"1", b'"x"', b'{"prompt":"a","prompt":"b"}', b"\xef\xbb\xbf{}",
            b'{"prompt":1e400}', b'{"a":"\\ud800"}', b"[" + b"[]," * 300_000 + b"[]]")  # fmt: skip
CLIMBING = (
    "/page/../app.py", "/page/%2e%2e/app.py", "/page/..%2fapp.py", "/page/..%5capp.py",
    "/page//etc/passwd", "/page/%00", "/page/", "/page", "//etc/passwd", "/%2e%2e/etc/passwd",
    "/v1/videos/..%2f..%2fetc/content", "/v1/media/jobs/..%2f../files/0",
    "/v1/media/jobs/x/files/-1",
    "/v1/media/jobs/x/files/99999999999999999999", "/v1/media/jobs/x/files/0?as=../../x",
    "/v1/models/..", "/v1/models/%00", "/v1/models/" + "a" * 5000, "/v1/media/../../health",
    "/v1/videos?limit=-1", "/v1/videos?after=%00&order=x", "/v1/videos?limit=" + "9" * 400,
    "/openapi.json?x=" + "a" * 3000, "/v1/media/jobs/%ff%fe", "/v1/media/%F0%9F%A6%8A", "/\u00ff",
    "/v1/media/read", "/v1/media/jobs", "/health/", "/favicon.ico", "/.git/config",
)  # fmt: skip
VIEWS = (
    "", "?as=png", "?as=glb", "?as=jpg", "?as=mp4", "?as=ply", "?as=wav", "?as=../../x", "?as=%00",
    "?as=", "?as=" + "x" * 3000, "?as=png&as=glb", "?as=views", "?x=1", "/..", "/../../../events",
)  # fmt: skip
"""What stands behind the address of a file."""
RANGES = ("bytes=0-", "bytes=2-5", "bytes=99-1", "bytes=-1," * 500, "x", "bytes=99999999-",
          "bytes=-0", "bytes=" + "9" * 400 + "-", "lines=1-2", "bytes=0-0,-1,1-")  # fmt: skip
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "CONNECT", "X" * 99)
HOSTS = ("evil.example", "localhost.evil.example", "", "127.0.0.1:x", "[::1", "a" * 3000,
         "lo calhost", "localhost@evil", "0", "127.1")  # fmt: skip
KINDS = ("application/json", "text/plain", "", "multipart/form-data", "application/json; charset=x",
         "application/x-www-form-urlencoded", "multipart/form-data; boundary=" + "x" * 500,
         "application/xml")  # fmt: skip


NAMES = ("../../x.png", "x.exe", "\0.png", "a" * 3000 + ".png", "", "CON.png", "x.png\\..\\y",
         "/etc/passwd.png", '%22; name="y', "x.views")  # fmt: skip


class Asked(NamedTuple):
    """One request, and what kind of trouble it is."""

    kind: str
    data: bytes
    is_raw: bool = False
    """It need not be answered."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    """0: nothing."""
    body: bytes


def request(method: str, path: str, body: bytes = b"", kind: str = "", **headers: str) -> bytes:
    """The bytes of a request that asks to close the connection after it."""
    found = {"Host": "localhost", "Connection": "close", **headers}
    if kind:
        found["Content-Type"] = kind
    if body or method == "POST":
        found["Content-Length"] = str(len(body))
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in found.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogateescape") + body


def form(fields: dict[str, str], files: dict[str, tuple[str, bytes]]) -> tuple[bytes, str]:
    """A form, and its kind."""
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode(
            errors="replace"
        )
        for name, value in fields.items()
    ]
    for name, (file, data) in files.items():
        head = f'form-data; name="{name}"; filename="{file}"'
        parts.append(f"--x\r\nContent-Disposition: {head}\r\n\r\n".encode() + data + b"\r\n")
    return b"".join(parts) + b"--x--\r\n", "multipart/form-data; boundary=x"


def asked_with(modality: str) -> dict[str, Any]:
    """A small request that is right."""
    return {"prompt": PROMPTS[modality], "num_steps": 1, **SMALL[modality]}


def broken_http(chooser: random.Random, media: dict[str, list[bytes]]) -> Asked:
    """Bytes that are no request, or one with two meanings."""
    good = request("GET", "/health")
    post = request("POST", "/v1/media/image", b'{"prompt":"x"}', "application/json")
    head = b"POST /v1/media/image HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    found = chooser.choice(
        [
            bytes(chooser.randrange(256) for _ in range(chooser.randrange(1, 400))),
            good[: chooser.randrange(1, len(good))],
            good.replace(b"HTTP/1.1", chooser.choice([b"HTTP/9.9", b"HTTP/1.0", b"", b"FTP/1.1"])),
            good.replace(b"\r\n", b"\n"),
            good.replace(b"Host: localhost\r\n", b""),
            good.replace(b"Connection", b"X: " + b"a" * 70_000 + b"\r\nConnection"),
            good.replace(b"Connection", b"Bad header\r\nConnection"),
            good.replace(b"Connection", b"X\0: 1\r\nConnection"),
            b"\r\n" * 50 + good,
            good * 30,
            head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            head + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            head + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
            head + b"Content-Length: -1\r\n\r\n",
            head + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
            head + b"Content-Length: 99999999999999999999\r\n\r\n{}",
            head + b"Content-Length: 64000001\r\n\r\n",
            head + b"Content-Length: 100\r\n\r\n{}",
            head + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
            good.replace(b"GET", b"PRI *"),
            good.replace(b"Connection: close", b"Connection: Upgrade\r\nUpgrade: websocket"),
            bytes(b ^ (chooser.random() < 0.03) for b in post),
        ]
    )
    return Asked("broken HTTP", found, is_raw=True)


def strange_address(chooser: random.Random, media: dict[str, list[bytes]]) -> Asked:
    """A path, a method, a host or a site that is none of ours."""
    method, path = chooser.choice(METHODS), chooser.choice(CLIMBING)
    if chooser.random() < 0.4:
        method = chooser.choice(["GET", "GET", "HEAD", "POST"])
        path = chooser.choice(media["urls"]).decode() + chooser.choice(VIEWS)
    headers = {}
    if chooser.random() < 0.3:
        headers["Host"] = chooser.choice(HOSTS)
    if chooser.random() < 0.3:
        headers["Origin"] = chooser.choice(["null", "http://evil.example", "", "x://localhost"])
    if chooser.random() < 0.2:
        headers["Range"] = chooser.choice(RANGES)
    return Asked("strange address", request(method, path, **headers))


def hostile_body(chooser: random.Random, media: dict[str, list[bytes]]) -> Asked:
    """JSON with values that nobody means well."""
    path = chooser.choice(list(ADDRESSES))
    kind = chooser.choice(KINDS) if chooser.random() < 0.1 else "application/json"
    if chooser.random() < 0.15:
        body = chooser.choice(LITERALS)
        return Asked("hostile body", request("POST", path, body, kind))
    values = asked_with(ADDRESSES[path])
    for _ in range(chooser.choice([1, 1, 1, 2, 3, 80])):
        pool: tuple[Any, ...] = chooser.choice([TEXTS, NUMBERS, OTHERS])
        values[chooser.choice(KEYS)] = chooser.choice(pool)
    return Asked("hostile body", request("POST", path, json.dumps(values).encode(), kind))


def broken_form(chooser: random.Random, media: dict[str, list[bytes]]) -> Asked:
    """A form that is cut off, repeats itself, or has names that climb."""
    modality = chooser.choice(list(SMALL))
    fields = {name: str(value) for name, value in asked_with(modality).items()}
    for _ in range(chooser.choice([0, 1, 2])):
        fields[chooser.choice(KEYS)] = chooser.choice(TEXTS)
    name = chooser.choice(NAMES)
    key = chooser.choice([GIVEN[modality], "mask", "file", "image[]", "checkpoint", "", "../x"])
    body, kind = form(fields, {key: (name, chooser.choice(media[modality]))})
    body = chooser.choice(
        [
            body,
            body,
            body[: chooser.randrange(len(body))],
            body * 3,
            body.replace(b"form-data", b"attachment"),
            body.replace(b'name="', b"name="),
            body.replace(b"\r\n", b"\n"),
            form({f"k{number}": "x" for number in range(100)}, {})[0],
            form({"prompt": "x" * 70_000}, {})[0],
            form({}, {f"f{number}": ("x.png", b"x") for number in range(9)})[0],
        ]
    )
    path = chooser.choice(["/v1/images/edits", "/v1/media/read", f"/v1/media/{modality}"])
    return Asked("broken form", request("POST", path, body, kind))


def hostile_file(chooser: random.Random, media: dict[str, list[bytes]]) -> Asked:
    """A file of any modality, damaged, too large, or another one than its name says."""
    modality = chooser.choice(list(SMALL))
    data = chooser.choice(media[chooser.choice([modality, modality, "bombs", "image"])])
    suffix = chooser.choice(FORMATS[chooser.choice([modality, modality, "image", "audio"])])
    data = chooser.choice([_flipped, _cut, _overwritten, _joined, lambda _, same: same])(
        chooser, data
    )
    if chooser.random() < 0.4:
        body, kind = form({}, {"file": (f"x.{suffix}", data)})
        return Asked("hostile file", request("POST", "/v1/media/read", body, kind))
    fields = {name: str(value) for name, value in asked_with(modality).items()}
    if modality == "image" and chooser.random() < 0.5:
        files = {"image": ("x.png", media["image"][0]), "mask": (f"x.{suffix}", data)}
        body, kind = form(fields, files)
        return Asked("hostile file", request("POST", "/v1/images/edits", body, kind))
    body, kind = form(fields, {GIVEN[modality]: (f"x.{suffix}", data)})
    return Asked("hostile file", request("POST", f"/v1/media/{modality}", body, kind))


def _flipped(chooser: random.Random, data: bytes) -> bytes:
    found = bytearray(data)
    for _ in range(chooser.choice([1, 3, 30])):
        if found:
            found[chooser.randrange(len(found))] = chooser.randrange(256)
    return bytes(found)


def _cut(chooser: random.Random, data: bytes) -> bytes:
    return data[: chooser.randrange(len(data) + 1)]


def _overwritten(chooser: random.Random, data: bytes) -> bytes:
    """A number in the head that says far too much."""
    place = chooser.randrange(max(1, min(200, len(data))))
    number = chooser.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 4, b"\xff\xff\xff\x7f"])
    return data[:place] + number + data[place + 4 :]


def _joined(chooser: random.Random, data: bytes) -> bytes:
    return chooser.choice([data + data, b"\0" * 999 + data, data + os.urandom(999), data[::-1]])


def bombs() -> list[bytes]:
    """Small files that say or unpack to large ones, and files that name others."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    def png(side: int, rows: bytes) -> bytes:
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + head + rows + chunk(b"IEND", b"")

    dark = zlib.compress(bytes(626 * 5000), 9)
    text = zlib.compress(b"lumina " + b"{" * 10**7, 9)
    wav = b"RIFF\xff\xff\xff\x7fWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 65535, 8000, 1, 1, 8)
    return [
        png(5000, chunk(b"IDAT", dark)),
        png(60_000, chunk(b"IDAT", dark)),
        png(2**31 - 1, chunk(b"IDAT", dark)),
        png(8, chunk(b"zTXt", b"lumina\0\0" + text) + chunk(b"IDAT", zlib.compress(bytes(16)))),
        png(
            8, chunk(b"iTXt", b"lumina\0\1\0\0\0" + text) + chunk(b"IDAT", zlib.compress(bytes(16)))
        ),
        b"GIF89a\xff\xff\xff\xff\xf0\0\0"
        + bytes(6)
        + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02L\x01\0;",
        b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0",
        wav + b"data\xff\xff\xff\x7f" + bytes(999),
        b"fLaC\0\0\0\x22" + b"\xff" * 34 + bytes(99),
        b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + b"\xff\xff\xff\xffmoov" + bytes(99),
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        b"%!PS\n(/etc/passwd) (r) file\n",
        b"P6 100000 100000 255\n",
        b"II*\0\x08\0\0\0" + b"\xff" * 200,
        b"glTF\2\0\0\0\xff\xff\xff\x7f\xff\xff\xff\x7fJSON" + b"{" * 999,
        b"ply\nformat ascii 1.0\ncomment lumina " + b"[" * 9999 + b"\nend_header\n",
        b"PK\3\4" + bytes(999),
        b"",
        b"\0" * 10**6,
    ]


TROUBLE: dict[Callable[[random.Random, dict[str, list[bytes]]], Asked], int] = {
    broken_http: 3,
    strange_address: 3,
    hostile_body: 6,
    broken_form: 3,
    hostile_file: 5,
}
"""What is drawn, and how often."""


class Server:
    """A server in a process of its own, in folders of its own."""

    def __init__(self, folder: Path) -> None:
        self.folders = {name: folder / name for name in ("home", "work", "tmp")}
        for each in self.folders.values():
            each.mkdir()
        self.log = folder / "log"
        env = {
            **os.environ,
            "HOME": str(self.folders["home"]),
            "TMPDIR": str(self.folders["tmp"]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "lumina_core", "serve", "port=0"],
                cwd=self.folders["work"],
                env=env,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.port = self._port()
        self.secrets = [
            str(folder), str(ROOT), sys.prefix, str(Path.home()) + "/", "root:x:0", "Traceback",
            'File "', "site-packages", "given-",
        ]  # fmt: skip

    def _port(self) -> int:
        end = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < end and self.process.poll() is None:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", self.log.read_text()):
                return int(found[1])
            time.sleep(0.2)
        raise SystemExit(f"the server did not start: {self.log.read_text()}")

    def ask(self, data: bytes, seconds: float = SECONDS) -> Answer:
        """Send bytes and read until the connection ends."""
        found = b""
        with (
            contextlib.suppress(ConnectionError),
            socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as sock,
        ):
            with contextlib.suppress(ConnectionError):  # it may answer before it has read all
                sock.sendall(data)
            while piece := sock.recv(1 << 16):
                found += piece
        head, _, body = found.partition(b"\r\n\r\n")
        status = re.match(rb"HTTP/1\.1 (\d{3})", head)
        return Answer(int(status[1]) if status else 0, body)

    def json(self, method: str, path: str, body: Any = None) -> Any:
        """Ask for something that is right."""
        data = b"" if body is None else json.dumps(body).encode()
        answer = self.ask(request(method, path, data, "application/json" if data else ""))
        return json.loads(answer.body)

    def ended(self, job_id: str) -> dict[str, Any]:
        """A job at its end."""
        self.ask(request("GET", f"/v1/media/jobs/{job_id}/events"))
        found: dict[str, Any] = self.json("GET", f"/v1/media/jobs/{job_id}")
        return found

    def written(self) -> set[str]:
        """Files that lie outside the folder of the server."""
        own = self.folders["tmp"].glob("lumina-serve-*")
        inside = tuple(f"{path}/" for path in own)
        found = {str(p) for each in self.folders.values() for p in each.rglob("*") if p.is_file()}
        for package in (ROOT / "lumina_core", *ROOT.glob("plugins/*/lumina_*")):
            found |= {str(path) for path in package.rglob("*") if "__pycache__" not in path.parts}
        return {path for path in found if not path.startswith(inside or ("\0",))}

    def stop(self) -> list[str]:
        """End it as a system does; gives what it leaves in the folder for temporary files."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return ["it did not end"]
        return [str(path) for path in self.folders["tmp"].rglob("*") if path.is_file()]


def good_files(server: Server) -> dict[str, list[bytes]]:
    """A file of each kind of each modality, made by the server, and the addresses of all."""
    media: dict[str, list[bytes]] = {"bombs": bombs(), "urls": []}
    for modality, formats in FORMATS.items():
        media[modality] = []
        for kind in formats:
            job = server.json(
                "POST", f"/v1/media/{modality}", asked_with(modality) | {"format": kind}
            )
            done = server.ended(job["id"])
            if done["status"] == "completed":
                answer = server.ask(request("GET", done["files"][0]["url"]))
                media[modality].append(answer.body)
                media["urls"].append(done["files"][0]["url"].encode())
            else:
                print(f"no {kind} of {modality}: {done['error']}", file=sys.stderr)
    return media


def problems_of(server: Server, asked: Asked, answer: Answer) -> Iterator[str]:
    """What is wrong with an answer."""
    if answer.status == 0 and not asked.is_raw:
        yield "no answer"
    if answer.status >= 500 and answer.status != 503:
        yield f"status {answer.status}"
    if not asked.data.startswith((b"HEAD", b"GET /health")) and answer.status >= 400:
        try:
            fine = set(json.loads(answer.body)["error"]) == {"message", "type", "param", "code"}
        except (ValueError, KeyError, TypeError):
            fine = False
        if not fine and asked.kind != "broken HTTP":  # where several are answered in one stream
            yield "another shape"
    yield from leaks(server, answer.body.decode("utf-8", "replace"))


def leaks(server: Server, text: str) -> Iterator[str]:
    """What of the file system stands in a text."""
    yield from (f"shows {secret}" for secret in server.secrets if secret in text)


def outcome(server: Server, answer: Answer) -> tuple[str, list[str]]:
    """How the job of an answer ends, and what is wrong with that."""
    try:
        job_id = json.loads(answer.body)["id"]
    except (ValueError, KeyError, TypeError):
        return "", []
    job = server.ended(str(job_id))
    server.ask(request("DELETE", f"/v1/media/jobs/{job_id}"))
    error = job.get("error") or {}
    faults = ["a fault of ours"] if error.get("code") == "server_error" else []
    return str(job.get("status")), [*faults, *leaks(server, json.dumps(error))]


def main() -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(description="hostile requests for a server")
    parser.add_argument("--num", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600, help="after which it ends")
    words = parser.parse_args()
    chooser = random.Random(words.seed)
    statuses: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    problems: list[str] = []
    slowest_health, done, begun = 0.0, 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        server = Server(Path(name))
        media = good_files(server)
        before = server.written()
        for number in range(words.num):
            if time.monotonic() - begun > words.seconds:
                break
            (draw,) = chooser.choices(list(TROUBLE), list(TROUBLE.values()))
            asked = draw(chooser, media)
            try:
                answer = server.ask(asked.data, SECONDS_OF_BROKEN if asked.is_raw else SECONDS)
            except TimeoutError:
                if asked.is_raw:
                    statuses[f"{asked.kind} waited for"] += 1
                    done += 1
                    continue
                problems.append(
                    f"{number} {asked.kind}: nothing in {SECONDS} s: {asked.data[:200]!r}"
                )
                continue
            statuses[f"{asked.kind} {answer.status}"] += 1
            found = list(problems_of(server, asked, answer))
            if answer.status in (200, 202) and asked.data.startswith(b"POST"):
                end, more = outcome(server, answer)
                ends.update([end] if end else [])
                found += more
            problems += [f"{number} {asked.kind}: {fault}: {asked.data[:300]!r}" for fault in found]
            done += 1
            if number % 50 == 0:
                start = time.monotonic()
                if server.ask(request("GET", "/health")).status != 200:
                    problems.append(f"{number}: no health")
                slowest_health = max(slowest_health, time.monotonic() - start)
                print(f"{number} {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
        problems += [f"written outside: {path}" for path in server.written() ^ before]
        problems += [f"left: {path}" for path in server.stop()]
        traces = server.log.read_text(errors="replace").count("Traceback")
    for problem in problems:
        print(problem)
    print(json.dumps({
        "requests": done,
        "seconds": round(time.monotonic() - begun),
        "by_status": dict(sorted(statuses.items())),
        "jobs": dict(ends),
        "slowest_health_seconds": round(slowest_health, 3),
        "traces_in_the_log": traces,
        "problems": len(problems),
    }, indent=1))  # fmt: skip
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
