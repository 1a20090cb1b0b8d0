"""What `lumina serve` makes of requests that are malformed or mean harm: 2,000 of them, bounded.

    python benchmarks/serve_hostile.py [--num 2000] [--seed 0] [--seconds 3600]

A server with the demos runs as a process of its own, with empty folders as its home and for
temporary files. Requests are drawn at random, the same for the same seed: broken HTTP, foreign
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
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hostile_requests import FORMATS, TROUBLE, Asked, Media, asked_with, bombs, request
from serve_load import Server

ROOT = Path(__file__).parents[1]
SECONDS = 120.0  # for an answer; a machine with other work takes long
SECONDS_OF_BROKEN = 5.0  # for what may be half a request, of which the server awaits the rest


class Answer(NamedTuple):
    """What came back; status 0: nothing."""

    status: int
    body: bytes


class Harmed(Server):
    """A server in folders of its own, with a log."""

    def __init__(self, folder: Path) -> None:
        self.folders = work, self.temporary = folder / "work", folder / "tmp"
        for each in self.folders:
            each.mkdir()
        self.log = folder / "log"
        with self.log.open("wb") as log:
            super().__init__(self.temporary, cwd=work, log=log)
        self.secrets = [
            str(folder), str(ROOT), sys.prefix, str(Path.home()) + "/", "root:x:0", "Traceback",
            'File "', "site-packages", "given-",
        ]  # fmt: skip

    def send(self, data: bytes, seconds: float = SECONDS) -> Answer:
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

    def over(self, job_id: str) -> dict[str, Any]:
        """A job at its end."""
        self.ended(job_id)
        found: dict[str, Any] = self.ask("GET", f"/v1/media/jobs/{job_id}")[1]
        return found

    def written(self) -> set[str]:
        """Files that lie outside the folder of the server."""
        found = {str(p) for each in self.folders for p in each.rglob("*") if p.is_file()}
        for package in (ROOT / "lumina_core", *ROOT.glob("plugins/*/lumina_*")):
            found |= {str(path) for path in package.rglob("*") if "__pycache__" not in path.parts}
        own = str(self.temporary / ".lumina-")
        return {path for path in found if not path.startswith(own)}

    def stop(self) -> list[str]:
        """End it as a system does; gives what it leaves in the folder for temporary files."""
        self.process.terminate()
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return ["it did not end"]
        return [str(path) for path in self.temporary.rglob("*") if path.is_file()]


def good_files(server: Harmed) -> Media:
    """A file of each kind of each modality, made by the server, and the addresses of all."""
    media: Media = {"bombs": bombs(), "urls": [], **{name: [] for name in FORMATS}}
    for modality, kind in [(name, kind) for name, kinds in FORMATS.items() for kind in kinds]:
        body = asked_with(modality) | {"format": kind}
        done = server.over(server.ask("POST", f"/v1/media/{modality}", body)[1]["id"])
        url = done["files"][0]["url"]
        media[modality].append(server.send(request("GET", url)).body)
        media["urls"].append(url.encode())
    return media


def problems_of(server: Harmed, asked: Asked, answer: Answer) -> Iterator[str]:
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


def leaks(server: Harmed, text: str) -> list[str]:
    """What of the file system stands in a text."""
    return [f"shows {secret}" for secret in server.secrets if secret in text]


def outcome(server: Harmed, answer: Answer) -> tuple[str, list[str]]:
    """How the job of an answer ends, and what is wrong with that."""
    try:
        job_id = json.loads(answer.body)["id"]
    except (ValueError, KeyError, TypeError):
        return "", []
    job = server.over(str(job_id))
    server.ask("DELETE", f"/v1/media/jobs/{job_id}")
    error = job.get("error") or {}
    faults = ["a fault of ours"] if error.get("code") == "server_error" else []
    return str(job.get("status")), [*faults, *leaks(server, json.dumps(error))]


def looked_at(server: Harmed, asked: Asked, counts: Counter[str]) -> list[str]:
    """Ask, and count what comes of it; gives what is wrong."""
    try:
        answer = server.send(asked.data, SECONDS_OF_BROKEN if asked.is_raw else SECONDS)
    except TimeoutError:
        counts[f"{asked.kind} waited for"] += 1
        return [] if asked.is_raw else [f"nothing in {SECONDS} s"]
    counts[f"{asked.kind} {answer.status}"] += 1
    found = list(problems_of(server, asked, answer))
    if answer.status in (200, 202) and asked.data.startswith(b"POST"):
        end, more = outcome(server, answer)
        counts.update([f"job {end}"] if end else [])
        found += more
    return found


def main() -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(description="hostile requests for a server")
    parser.add_argument("--num", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3600, help="after which it ends")
    words = parser.parse_args()
    chooser, counts, problems = random.Random(words.seed), Counter[str](), list[str]()
    slowest, done, begun = 0.0, 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        server = Harmed(Path(name))
        media = good_files(server)
        before = server.written()
        while done < words.num and time.monotonic() - begun < words.seconds:
            (draw,) = chooser.choices(list(TROUBLE), list(TROUBLE.values()))
            asked = draw(chooser, media)
            for fault in looked_at(server, asked, counts):
                problems.append(f"{done} {asked.kind}: {fault}: {asked.data[:300]!r}")
            start = time.monotonic()
            if server.send(request("GET", "/health")).status != 200:
                problems.append(f"{done}: no health")
            slowest = max(slowest, time.monotonic() - start)
            done += 1
        problems += [f"written outside: {path}" for path in server.written() ^ before]
        problems += [f"left: {path}" for path in server.stop()]
        traces = server.log.read_text(errors="replace").count("Traceback")
    for problem in problems:
        print(problem)
    print(json.dumps({
        "requests": done,
        "seconds": round(time.monotonic() - begun),
        "counts": dict(sorted(counts.items())),
        "slowest_health_seconds": round(slowest, 3),
        "traces_in_the_log": traces,
        "problems": len(problems),
    }, indent=1))  # fmt: skip
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
