"""Kills a run at random moments of its saving, again and again, and checks what is left.

    PYTHONPATH=tests/support python tests/support/killed_saves.py OUT NUM_KILLS RANKS [WORD...]

With words it is a training of these on one rank. Without, it is `saving_run.py` on as many ranks as
RANKS says, of one start after the other, such as 2 or 2,1. Each start goes on from what the kill
before left. Every second kill of several ranks hits one of them, and the others have to end by
themselves. What is lost but the steps since the newest whole checkpoint, and a start that does not
go on, ends the program with what was wrong. Prints one JSON object.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

import saving_run
import torch
from safetensors.torch import load_file

from lumina_core.checkpoints.manifest import read_manifest, verify
from lumina_core.checkpoints.newest import finished
from lumina_core.checkpoints.sharded import stored_tensors
from lumina_core.cli import main as cli
from lumina_core.training import train  # noqa: F401  imported before the forks

STORE = """
import sys, torch.distributed as dist
store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
print(store.port, flush=True)
sys.stdin.read()
"""
WAIT_SECONDS = 240  # for a machine that does other things
TICK_SECONDS = 0.002
LONGEST_SAVE_SECONDS = 0.4  # of a tiny training; the moments lie within that


def start(run, words, num_ranks, attempt, port, log):
    """Fork the ranks of a run; their ids."""
    ids = []
    for rank in range(num_ranks):
        child = os.fork()
        if child:
            ids.append(child)
            continue
        os.setpgid(0, 0)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        if num_ranks > 1:
            os.environ |= {
                "TORCHELASTIC_RUN_ID": "drill",
                "TORCHELASTIC_USE_AGENT_STORE": "True",
                "TORCHELASTIC_RESTART_COUNT": str(attempt),
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(num_ranks),
                "LOCAL_WORLD_SIZE": str(num_ranks),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            }
        code = 1
        try:
            code = run(*words) or 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return ids


def ended(ids, seconds):
    """Exit codes of those of the processes that end in time, by id."""
    codes, limit = {}, time.monotonic() + seconds
    while True:
        for each in [each for each in ids if each not in codes]:
            found, status = os.waitpid(each, os.WNOHANG)
            if found:
                codes[each] = os.waitstatus_to_exitcode(status)
        if len(codes) == len(ids) or time.monotonic() > limit:
            return codes
        time.sleep(TICK_SECONDS)


def unfinished(checkpoints):
    """Names of what is being written, or was."""
    return {path.name for path in checkpoints.glob(".lumina-*")}


def stage(checkpoints, before):
    """How far the save had come at a kill, by what it left."""
    left = [path for path in checkpoints.glob(".lumina-*") if path.is_dir()]
    if finished(checkpoints) != before:
        return "named, older states going" if left else "named"
    if not left:
        return "before its folder, or after all"
    names = {path.name for folder in left for path in folder.rglob("*")}
    if "lumina.json" in names:
        return "manifest written"
    if "backbone.safetensors" in names:
        return "weights being written"
    return "state being written" if "state" in names else "folder made"


def wait_for_save(checkpoints, ids, count, left):
    """Until so many saves more have begun than those that earlier kills left."""
    seen, limit = set(), time.monotonic() + WAIT_SECONDS
    while len(seen) < count:
        seen |= unfinished(checkpoints) - left
        if codes := ended(ids, 0) or (time.monotonic() > limit and "too slow"):
            raise SystemExit(f"the run ended before it was killed: {codes}")
        time.sleep(TICK_SECONDS)


def check(out, before):
    """What a kill left is whole; gives the steps that it cost."""
    checkpoints = finished(out / "checkpoints")
    if checkpoints[: len(before)] != before:
        raise SystemExit(f"lost {set(before) - set(checkpoints)}")
    for folder in checkpoints[-2:]:
        verify(folder, read_manifest(folder))
    if not checkpoints:
        return 0
    stored_tensors(checkpoints[-1] / "state")
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return json.loads(lines[-1])["step"] - read_manifest(checkpoints[-1])["training"]["step"]


def main(out, num_kills, ranks, *words):
    """Kill as often, then let the run come to its end."""
    out, choice = Path(out), random.Random(0)
    store = subprocess.Popen(
        [sys.executable, "-c", STORE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    port, log = int(store.stdout.readline()), out.with_suffix(".log")
    numbers = [int(number) for number in ranks.split(",")]
    stages, lost = Counter(), []

    def begun(attempt, max_steps):
        """The ids of the ranks of a start."""
        where = numbers[attempt % len(numbers)], attempt, port, log
        if not words:
            return start(saving_run.main, [out, max_steps], *where)
        resume = ["resume=true"] if attempt else []
        due = [f"out={out}", "save_every=1", "log_every=1", "sample_every=0"]
        return start(cli.main, [["train", *words, *due, *resume, f"max_steps={max_steps}"]], *where)

    for attempt in range(int(num_kills)):
        left = unfinished(out / "checkpoints")
        ids = begun(attempt, 100000)
        wait_for_save(out / "checkpoints", ids, choice.randint(1, 3), left)
        time.sleep(choice.uniform(0, LONGEST_SAVE_SECONDS))
        before = finished(out / "checkpoints")
        for each in ids if attempt % 2 else [choice.choice(ids)]:
            os.kill(each, signal.SIGKILL)
        codes = ended(ids, WAIT_SECONDS)
        if len(codes) < len(ids) or 0 in codes.values():
            raise SystemExit(f"a rank went on without another one: {codes} of {ids}")
        stages[stage(out / "checkpoints", before)] += 1
        lost.append(check(out, before))
    newest = finished(out / "checkpoints")[-1]
    last = read_manifest(newest)["training"]["step"] + 3
    ids = begun(int(num_kills), last)
    codes = ended(ids, WAIT_SECONDS)
    store.communicate("")
    if list(codes.values()) != [0] * len(ids):
        raise SystemExit(f"the last start ended with {codes}: {log.read_text()[-2000:]}")
    check_end(out, last, is_counted=not words)
    print(json.dumps({"kills": int(num_kills), "steps": last, "stages": stages, "lost": lost}))


def check_end(out, last, *, is_counted):
    """After all kills the run is as one that nothing interrupted."""
    if left := [path.name for path in (out / "checkpoints").glob(".*")]:
        raise SystemExit(f"the last start left {left}")
    entries = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    if [entry["step"] for entry in entries] != list(range(1, last + 1)):
        raise SystemExit(f"the log has the steps {[entry['step'] for entry in entries]}")
    if not is_counted:
        return
    seen = [sample for entry in entries for sample in entry["samples"]]
    if seen != list(range(last * saving_run.SAMPLES)):
        raise SystemExit(f"samples were repeated or left out: {seen}")
    found = load_file(finished(out / "checkpoints")[-1] / "backbone.safetensors")
    for name, value in saving_run.weights_after(last).items():
        torch.testing.assert_close(found[name], value)


if __name__ == "__main__":
    main(*sys.argv[1:])
