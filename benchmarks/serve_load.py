"""What `lumina serve` does under load: answers, cancelling, its end, memory, and its cost in CPU.

    python benchmarks/serve_load.py [PART ...] [--slots SLOTS]

Each part starts a server of the demos on a free port, with a folder of its own for temporary files,
and prints one line of JSON. Every wait is bounded. `health` tells in seconds how long `/health`
takes, which is asked twenty times a second from the start on; `left` names what the server leaves
in the folder for temporary files, PyTorch's empty cache aside. The exit code is 1 where something
did not end as it may, or `/health` was slow.

load      8 clients, 20 requests each: every other one waits for its picture, the rest are jobs
leave     50 clients that close their connection before the answer
cancel    50 jobs that are cancelled by DELETE
stop      SIGTERM while 8 clients wait for pictures or follow jobs
killed    SIGKILL with a running job: what is left, and what the next start removes
memory    500 pictures, one after the other: resident megabytes after each hundred
overhead  CPU seconds of a picture: of an answer, of a job with previews, and of `generate`
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import select
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

NUM_CLIENTS, NUM_REQUESTS = 8, 20
NUM_LEAVING, TOGETHER, NUM_PICTURES, HUNDRED = 50, 5, 500, 100
NUM_ROUNDS = 40  # of the overhead, each a picture of each side
PROMPT = "a red circle to the left of a blue square"
QUICK = {"prompt": PROMPT, "num_steps": 2}
LONG = {"prompt": PROMPT, "num_steps": 1000}
PICTURES, JOBS = "/v1/images/generations", "/v1/media/image"
JSON = {"Content-Type": "application/json"}
LIMIT = 600.0  # seconds until any wait is given up
BETWEEN = 0.05  # seconds between two looks
SECONDS_TO_STOP = 2.0
SLOW = 0.2  # seconds that /health may take
Told = dict[str, Any]


class Server:
    """A server in a process, and what is asked of it."""

    def __init__(
        self, temporary: Path, *words: str, cwd: Path | None = None, log: IO[bytes] | None = None
    ) -> None:
        home = {} if cwd is None else {"HOME": str(cwd), "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "lumina_core", "serve", "port=0", *words],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=cwd,
            env={**os.environ, **home, "TMPDIR": str(temporary)},
        )
        self.port = int(line_of(self.process).rpartition(":")[2])
        self.health: list[float] = []

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One request; the answer is JSON, or events, of which the last one counts."""
        with contextlib.closing(self.connection()) as connection:
            connection.request(method, path, None if body is None else json.dumps(body), JSON)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read().decode().rpartition("data: ")[2])

    def job(self, body: Any) -> str:
        """Start a job, once there is room; gives its id."""
        for _ in moments():
            status, answer = self.ask("POST", JOBS, body)
            if status != http.client.TOO_MANY_REQUESTS:
                return str(answer["id"])
        raise TimeoutError

    def ended(self, job: str) -> str:
        return str(self.ask("GET", f"/v1/media/jobs/{job}/events")[1]["status"])

    def watch(self) -> None:
        """Look at /health until the server is gone."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                start = time.monotonic()
                self.ask("GET", "/health")
                self.health.append(time.monotonic() - start)
                time.sleep(BETWEEN)

    @property
    def cpu(self) -> float:
        """Seconds of CPU time of every thread up to now."""
        tasks = [Path(f"/proc/{pid}/task") for pid in family(self.process.pid)]
        found = [path.read_text() for each in tasks for path in each.glob("*/schedstat")]
        return sum(int(each.split()[0]) for each in found) / 1e9

    @property
    def megabytes(self) -> float:
        pages = (
            Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in family(self.process.pid)
        )
        return round(sum(map(int, pages)) * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def line_of(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], LIMIT)[0], "it says nothing"
    return process.stdout.readline()


def moments() -> Iterator[None]:
    """Moments to look at something, until it takes too long."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        yield
        time.sleep(BETWEEN)


def family(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    own = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return [pid, *(each for child in own for each in family(child))]


def names_in(folder: str) -> list[str]:
    names = sorted(path.name for path in Path(folder).iterdir())
    return [name for name in names if not name.startswith("torchinductor_")]


@contextlib.contextmanager
def serving(slots: str, told: Told, *, is_watched: bool = True) -> Iterator[Server]:
    """A server that has made a picture; its end and what it leaves are told."""
    with tempfile.TemporaryDirectory() as name:
        server = Server(Path(name), f"slots={slots}")
        try:
            if is_watched:
                threading.Thread(target=server.watch, daemon=True).start()
            assert server.ended(server.job(QUICK)) == "completed"
            yield server
            server.process.terminate()
            start = time.monotonic()
            told["exit"] = server.process.wait(LIMIT)
            told["seconds_to_end"] = round(time.monotonic() - start, 2)
        finally:
            server.process.kill()
            server.process.wait()
        told["left"] = names_in(name)
    if found := sorted(server.health):
        at = {"median": len(found) // 2, "p99": len(found) * 99 // 100, "max": -1}
        told["health"] = {key: round(found[place], 3) for key, place in at.items()}
        told["health"] |= {"asked": len(found), "slow": sum(each > SLOW for each in found)}


def together(work: Callable[[int], None], numbers: range) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in numbers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def going(slots: str, client: Callable[[Server, int], None]) -> Told:
    """50 clients that go, a few at a time, which the line can hold; and how the server is then."""
    told: Told = {}
    with serving(slots, told) as server:
        for first in range(0, NUM_LEAVING, TOGETHER):
            together(partial(client, server), range(first, first + TOGETHER))
        start = time.monotonic()
        answers = (server.ask("GET", "/health")[1] for _ in moments())
        is_idle = any(answer["waiting"] == answer["running"] == 0 for answer in answers)
        told["seconds_until_idle"] = round(time.monotonic() - start, 2)
        told["next"] = server.ended(server.job(QUICK))
    return {"right": is_idle and told["next"] == "completed"} | told


def load(slots: str) -> Told:
    told: Told = {}
    ends: Counter[str] = Counter()
    with serving(slots, told) as server:

        def client(number: int) -> None:
            for each in range(NUM_REQUESTS):
                body = QUICK | {"seed": NUM_REQUESTS * number + each}
                if each % 2:
                    ends["job " + server.ended(server.job(body))] += 1
                else:
                    ends[f"answer {server.ask('POST', PICTURES, body)[0]}"] += 1

        start = time.monotonic()
        together(client, range(NUM_CLIENTS))
        told["seconds"] = round(time.monotonic() - start, 1)
    half = NUM_CLIENTS * NUM_REQUESTS // 2
    return {"right": ends == {"answer 200": half, "job completed": half}, "ends": ends} | told


def leave(slots: str) -> Told:
    def client(server: Server, number: int) -> None:
        with contextlib.closing(server.connection()) as connection:
            connection.request("POST", PICTURES, json.dumps(LONG | {"seed": number}), JSON)
            time.sleep(random.Random(number).random())

    return going(slots, client)


def cancel(slots: str) -> Told:
    ends: Counter[str] = Counter()
    waited: list[float] = []

    def client(server: Server, number: int) -> None:
        job = server.job(LONG | {"seed": number})
        time.sleep(random.Random(number).random())
        start = time.monotonic()
        server.ask("DELETE", f"/v1/media/jobs/{job}")
        ends[server.ended(job)] += 1
        waited.append(time.monotonic() - start)

    told = going(slots, client)
    seconds = {"median": round(statistics.median(waited), 3), "max": round(max(waited), 3)}
    right = told["right"] and ends == {"cancelled": NUM_LEAVING}
    return told | {"right": right, "ends": ends, "seconds_to_cancel": seconds}


def stop(slots: str) -> Told:
    told: Told = {}
    ends: Counter[str] = Counter()
    with serving(slots, told) as server:

        def asked(body: Told, address: str) -> str:
            try:
                status, answer = server.ask("POST", address, body)
                if status == http.client.ACCEPTED:
                    return "job " + server.ended(answer["id"])
            except ConnectionRefusedError:
                return "connection refused"
            except (OSError, http.client.HTTPException) as error:
                return f"fault {type(error).__name__}"
            return f"answer {status} {answer.get('error', {}).get('code', '')}".strip()

        def client(number: int) -> None:
            for each in range(NUM_REQUESTS):
                body = LONG | {"num_steps": 50, "seed": NUM_REQUESTS * number + each}
                ends[asked(body, (PICTURES, JOBS)[number % 2])] += 1

        threading.Timer(SECONDS_TO_STOP, server.process.terminate).start()
        together(client, range(NUM_CLIENTS))
    right = not any(each.startswith(("fault", "answer 500")) for each in ends)
    return {"right": right, "ends": ends} | told


def killed(slots: str) -> Told:
    told: Told = {}
    with tempfile.TemporaryDirectory() as name:
        first = Server(Path(name), f"slots={slots}")
        job = first.job(LONG)
        progress = (first.ask("GET", f"/v1/media/jobs/{job}")[1]["progress"] for _ in moments())
        assert any(progress)
        before = family(first.process.pid)
        first.process.kill()
        first.process.wait()
        alive = (sum(Path(f"/proc/{pid}").exists() for pid in before) for _ in moments())
        told |= {"processes": len(before), "all_ended": 0 in alive, "by_kill": names_in(name)}
        others = [Server(Path(name), f"slots={slots}") for _ in range(2)]
        told["next"] = [each.ended(each.job(QUICK)) for each in others]
        told["of_two_more"] = names_in(name)
        for each in others:
            each.process.terminate()
            each.process.wait(LIMIT)
        told["left"] = names_in(name)
    return {"right": told["all_ended"]} | told


def memory(slots: str) -> Told:
    told: Told = {}
    found: list[float] = []
    with serving(slots, told) as server:
        for number in range(NUM_PICTURES + 1):
            if number % HUNDRED == 0:
                found.append(server.megabytes)
            assert server.ask("POST", PICTURES, QUICK | {"seed": number})[0] == http.client.OK
    return {"right": True, "megabytes": found} | told


def overhead(slots: str) -> Told:
    told: Told = {}
    cpu: dict[str, list[float]] = {"answer": [], "job": [], "generate": []}
    with serving(slots, told, is_watched=False) as server:
        words, pipe = [sys.executable, __file__, "library"], subprocess.PIPE
        library = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)
        assert library.stdin is not None
        for number in range(NUM_ROUNDS):
            body = {"prompt": PROMPT, "seed": number}
            before = server.cpu
            assert server.ask("POST", PICTURES, body)[0] == http.client.OK
            between = server.cpu
            assert server.ended(server.job(body)) == "completed"
            cpu["answer"].append(between - before)
            cpu["job"].append(server.cpu - between)
            print(number, file=library.stdin, flush=True)
            cpu["generate"].append(float(line_of(library)))
        library.communicate(timeout=LIMIT)
    for side, each in cpu.items():  # the least is what other work on the machine disturbs least
        told[side] = {"least": round(min(each), 3), "median": round(statistics.median(each), 3)}
    for side in ("answer", "job"):
        told[f"over_of_{side}"] = round(min(cpu[side]) / min(cpu["generate"]) - 1, 3)
    return {"right": True} | told


def library() -> None:
    import lumina_core

    model = lumina_core.load("image")
    model.generate(PROMPT, seed=0, num_steps=2)
    for line in sys.stdin:
        before = time.process_time()
        model.generate(PROMPT, seed=int(line))
        print(time.process_time() - before, flush=True)


PARTS = {part.__name__: part for part in (load, leave, cancel, stop, killed, memory, overhead)}


def main() -> int:
    parser = argparse.ArgumentParser(description="load for a server")
    parser.add_argument("parts", nargs="*", default=list(PARTS))
    parser.add_argument("--slots", default="thread")
    given = parser.parse_args()
    is_right = True
    for part in given.parts:
        found = PARTS[part](given.slots)
        is_slow = found.get("health", {}).get("slow", 0)
        is_right &= found["right"] and not found["left"] and not is_slow
        print(json.dumps({"part": part, "slots": given.slots} | found), flush=True)
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(library() if sys.argv[1:2] == ["library"] else main())
