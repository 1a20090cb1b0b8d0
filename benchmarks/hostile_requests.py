"""Requests for a server that are malformed or mean harm, drawn at random: see serve_hostile.py."""

import json
import random
import struct
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

SMALL: dict[str, dict[str, Any]] = {
    "image": {"prompt": "a red circle", "height": 32, "width": 32},
    "video": {
        "prompt": "a red circle moving to the right", "frames": 4, "height": 32, "width": 32,
    },
    "audio": {"prompt": "two short high beeps", "seconds": 0.25},
    "multiview": {"prompt": "a cube, red in front and blue behind", "views": 4},
}  # fmt: skip
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
SITES = ("null", "http://evil.example", "", "x://localhost")
KINDS = ("application/json", "text/plain", "", "multipart/form-data", "application/json; charset=x",
         "application/x-www-form-urlencoded", "multipart/form-data; boundary=" + "x" * 500,
         "application/xml")  # fmt: skip
NAMES = ("../../x.png", "x.exe", "\0.png", "a" * 3000 + ".png", "", "CON.png", "x.png\\..\\y",
         "/etc/passwd.png", '%22; name="y', "x.views")  # fmt: skip
Media = dict[str, list[bytes]]
"""Good files of each modality, bombs, and addresses of files."""


class Asked(NamedTuple):
    """One request, and what kind of trouble it is."""

    kind: str
    data: bytes
    is_raw: bool = False
    """It need not be answered."""


def request(method: str, path: str, body: bytes = b"", kind: str = "", **headers: str) -> bytes:
    """The bytes of a request that asks to close the connection after it."""
    found = {"Host": "localhost", "Connection": "close", **headers}
    if kind:
        found["Content-Type"] = kind
    if body or method == "POST":
        found["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in found.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("utf-8", "surrogateescape") + body


def form(fields: dict[str, Any], files: dict[str, tuple[str, bytes]]) -> tuple[bytes, str]:
    """A form, and its kind."""
    parts = [(f'"{name}"', str(value).encode(errors="replace")) for name, value in fields.items()]
    parts += [(f'"{name}"; filename="{file}"', data) for name, (file, data) in files.items()]
    head = "--x\r\nContent-Disposition: form-data; name="
    found = [f"{head}{name}\r\n\r\n".encode() + data + b"\r\n" for name, data in parts]
    return b"".join(found) + b"--x--\r\n", "multipart/form-data; boundary=x"


def asked_with(modality: str) -> dict[str, Any]:
    """A small request that is right."""
    return {"num_steps": 1, **SMALL[modality]}


def broken_http(chooser: random.Random, media: Media) -> Asked:
    """Bytes that are no request, or one with two meanings."""
    good = request("GET", "/health")
    post = request("POST", "/v1/media/image", b'{"prompt":"x"}', "application/json")
    head = b"POST /v1/media/image HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    version = chooser.choice([b"HTTP/9.9", b"HTTP/1.0", b"", b"FTP/1.1"])
    closing = b"Connection: close"
    found = chooser.choice([
        chooser.randbytes(chooser.randrange(1, 400)),
        good[: chooser.randrange(1, len(good))],
        good.replace(b"HTTP/1.1", version),
        good.replace(b"\r\n", b"\n"),
        good.replace(b"Host: localhost\r\n", b""),
        good.replace(closing, b"X: " + b"a" * 70_000 + b"\r\n" + closing),
        good.replace(closing, b"Bad header\r\n" + closing),
        good.replace(closing, b"X\0: 1\r\n" + closing),
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
        good.replace(closing, b"Connection: Upgrade\r\nUpgrade: websocket"),
        bytes(b ^ (chooser.random() < 0.03) for b in post),
    ])  # fmt: skip
    return Asked("broken HTTP", found, is_raw=True)


def strange_address(chooser: random.Random, media: Media) -> Asked:
    """A path, a method, a host or a site that is none of ours."""
    method, path = chooser.choice(METHODS), chooser.choice(CLIMBING)
    if chooser.random() < 0.4:
        method = chooser.choice(["GET", "GET", "HEAD", "POST"])
        path = chooser.choice(media["urls"]).decode() + chooser.choice(VIEWS)
    drawn = (("Host", HOSTS, 0.3), ("Origin", SITES, 0.3), ("Range", RANGES, 0.2))
    headers = {name: chooser.choice(each) for name, each, p in drawn if chooser.random() < p}
    return Asked("strange address", request(method, path, **headers))


def hostile_body(chooser: random.Random, media: Media) -> Asked:
    """JSON with values that nobody means well."""
    path = chooser.choice(list(ADDRESSES))
    kind = chooser.choice(KINDS) if chooser.random() < 0.1 else "application/json"
    if chooser.random() < 0.15:
        return Asked("hostile body", request("POST", path, chooser.choice(LITERALS), kind))
    values = asked_with(ADDRESSES[path])
    for _ in range(chooser.choice([1, 1, 1, 2, 3, 80])):
        pool: tuple[Any, ...] = chooser.choice([TEXTS, NUMBERS, OTHERS])
        values[chooser.choice(KEYS)] = chooser.choice(pool)
    return Asked("hostile body", request("POST", path, json.dumps(values).encode(), kind))


def broken_form(chooser: random.Random, media: Media) -> Asked:
    """A form that is cut off, repeats itself, or has names that climb."""
    modality = chooser.choice(list(SMALL))
    fields = asked_with(modality)
    for _ in range(chooser.choice([0, 1, 2])):
        fields[chooser.choice(KEYS)] = chooser.choice(TEXTS)
    key = chooser.choice([GIVEN[modality], "mask", "file", "image[]", "checkpoint", "", "../x"])
    body, kind = form(fields, {key: (chooser.choice(NAMES), chooser.choice(media[modality]))})
    body = chooser.choice([
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
    ])  # fmt: skip
    path = chooser.choice(["/v1/images/edits", "/v1/media/read", f"/v1/media/{modality}"])
    return Asked("broken form", request("POST", path, body, kind))


def hostile_file(chooser: random.Random, media: Media) -> Asked:
    """A file of any modality, damaged, too large, or another one than its name says."""
    modality = chooser.choice(list(SMALL))
    data = chooser.choice(media[chooser.choice([modality, modality, "bombs", "image"])])
    suffix = chooser.choice(FORMATS[chooser.choice([modality, modality, "image", "audio"])])
    file = (f"x.{suffix}", damaged(chooser, data))
    fields, files, path = asked_with(modality), {GIVEN[modality]: file}, f"/v1/media/{modality}"
    if chooser.random() < 0.4:
        fields, files, path = {}, {"file": file}, "/v1/media/read"
    elif modality == "image" and chooser.random() < 0.5:
        files = {"image": ("x.png", media["image"][0]), "mask": file}
        path = "/v1/images/edits"
    return Asked("hostile file", request("POST", path, *form(fields, files)))


def damaged(chooser: random.Random, data: bytes) -> bytes:
    """A file of which bytes are others, missing or too many, or as it was."""
    place = chooser.randrange(max(1, min(200, len(data))))
    huge = chooser.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 4, b"\xff\xff\xff\x7f"])
    flipped = bytearray(data)
    for _ in range(chooser.choice([1, 3, 30]) if data else 0):
        flipped[chooser.randrange(len(data))] = chooser.randrange(256)
    joined = [data + data, b"\0" * 999 + data, data + chooser.randbytes(999), data[::-1]]
    return chooser.choice([
        bytes(flipped),
        data[: chooser.randrange(len(data) + 1)],
        data[:place] + huge + data[place + 4 :],  # a number of the head that says far too much
        chooser.choice(joined),
        data,
    ])  # fmt: skip


def bombs() -> list[bytes]:
    """Small files that say or unpack to large ones, and files that name others."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    def png(side: int, rows: bytes) -> bytes:
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + head + rows + chunk(b"IEND", b"")

    dark = chunk(b"IDAT", zlib.compress(bytes(626 * 5000), 9))
    small = chunk(b"IDAT", zlib.compress(bytes(16)))
    text = zlib.compress(b"lumina " + b"{" * 10**7, 9)
    wav = b"RIFF\xff\xff\xff\x7fWAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 65535, 8000, 1, 1, 8)
    full = b"\xff" * 4
    return [
        *(png(side, dark) for side in (5000, 60_000, 2**31 - 1)),
        png(8, chunk(b"zTXt", b"lumina\0\0" + text) + small),
        png(8, chunk(b"iTXt", b"lumina\0\1\0\0\0" + text) + small),
        b"GIF89a" + full + b"\xf0\0\0" + bytes(6) + b",\0\0\0\0" + full + b"\0\x02\x02L\x01\0;",
        b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\x3f\0\xff\x3f\0",
        wav + b"data\xff\xff\xff\x7f" + bytes(999),
        b"fLaC\0\0\0\x22" + b"\xff" * 34 + bytes(99),
        b"\0\0\0\x18ftypisom\0\0\0\0isomiso2" + full + b"moov" + bytes(99),
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
        frames(),
    ]


def frames() -> bytes:
    """A GIF of 20,000 frames of one pixel."""
    frame = b"!\xf9\4\0\1\0\0\0,\0\0\0\0\1\0\1\0\0\2\2L\1\0"
    return b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * 20_000 + b";"


TROUBLE: dict[Callable[[random.Random, Media], Asked], int] = {
    broken_http: 3, strange_address: 3, hostile_body: 6, broken_form: 3, hostile_file: 5,
}  # fmt: skip
"""What is drawn, and how often."""
