"""Kills a run at random moments of its saving, again and again, and checks what is left.

    PYTHONPATH=tests/support python tests/support/killed_saves.py OUT NUM_KILLS RANKS [WORD...]

With words it is a training of these, without `saving_run.py`, on as many ranks as RANKS says, of
one start after the other, such as 2 or 2,1. Each start goes on from what the kill before left.
Every second kill of several ranks hits one of them, and the others have to end by themselves. In
place of every third kill a training gets two signals to end, the second of which gives its save up.
At the end each step has the samples and the loss of a run that nothing interrupted. What is lost
but the steps since the newest whole checkpoint, and a start that does not go on or does not end,
ends the program with what was wrong. Prints one JSON object.
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
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import saving_run
import torch
from safetensors.torch import load_file

from lumina_core.checkpoints.manifest import read_manifest, verify
from lumina_core.checkpoints.newest import finished
from lumina_core.checkpoints.sharded import stored_tensors
from lumina_core.cli import main as cli
from lumina_core.parallel import ranks
from lumina_core.training import log as signals
from lumina_core.training import step

STORE = """
import sys, torch.distributed as dist
store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
print(store.port, flush=True)
sys.stdin.read()
"""
WAIT_SECONDS = 900  # for a machine that does other things
TICK_SECONDS = 0.002
LONGEST_SAVE_SECONDS = 0.4  # of a tiny training; the moments lie within that
SIGNALLED = 3  # every so manyth start of a training gets signals to end
ALIKE = ("log_every=1", "sample_every=0", "optimizer.decay_share=0")
NEAR = 1e-6  # losses of one rank and of several, or of a run and one that was resumed


def training(words, record, attempt):
    """`train`, which writes down by step what each rank computes."""
    draw = step.drawn_batch

    def recorded(batch, config, number):
        numbers = [pick.number for pick, _ in batch]
        with record.open("a") as file:
            file.write(f"{json.dumps([number, attempt, ranks.rank(), numbers])}\n")
        return draw(batch, config, number)

    step.drawn_batch = recorded
    signals.HANDED_ON_SECONDS = 0  # no torchrun hands on what comes
    return cli.main(["train", *words])


def computed(record):
    """The numbers of the samples of each step, by the last start that did it."""
    found = {}
    for line in record.read_text().splitlines():
        number, attempt, _, numbers = json.loads(line)
        last, before = found.get(number, (attempt, []))
        found[number] = attempt, [*(before if attempt == last else []), *numbers]
    return {number: sorted(numbers) for number, (_, numbers) in sorted(found.items())}


def losses(out):
    """By the step."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


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
        sys.exit(code)
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


def strike(ids, number):
    """Send a signal to processes, none of which was waited for."""
    for each in ids:
        os.kill(each, number)


def unfinished(checkpoints):
    """Names of checkpoints that are being written, or were; files only try the disk."""
    return {path.name for path in checkpoints.glob(".lumina-*") if path.is_dir()}


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


def main(out, num_kills, many, *words):
    """Kill as often, then let the run come to its end."""
    out, choice = Path(out), random.Random(0)
    store = subprocess.Popen(
        [sys.executable, "-c", STORE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    port, log = int(store.stdout.readline()), out.with_suffix(".log")
    numbers = [int(number) for number in many.split(",")]
    stages, lost, record = Counter(), [], out.with_suffix(".samples")

    def begun(attempt, max_steps):
        """The ids of the ranks of a start."""
        where = numbers[attempt % len(numbers)], attempt, port, log
        if not words:
            return start(saving_run.main, [out, max_steps], *where)
        resume = ["resume=true"] if attempt else []
        due = [f"out={out}", "save_every=1", *ALIKE, *resume, f"max_steps={max_steps}"]
        return start(training, [[*words, *due], record, attempt], *where)

    if words:  # what a training imports is there before the forks
        due = [f"out={out.with_name(f'{out.name}-first')}", "max_steps=1", *ALIKE]
        with log.open("w") as file, redirect_stdout(file), redirect_stderr(file):
            cli.main(["train", *words, *due])
    for attempt in range(int(num_kills)):
        left = unfinished(out / "checkpoints")
        ids = begun(attempt, 100000)
        wait_for_save(out / "checkpoints", ids, choice.randint(1, 3), left)
        time.sleep(choice.uniform(0, LONGEST_SAVE_SECONDS))
        before = finished(out / "checkpoints")
        hit = ids if attempt % 2 else [choice.choice(ids)]
        if words and attempt % SIGNALLED == SIGNALLED - 1:
            strike(ids, signal.SIGTERM)
            time.sleep(choice.uniform(0, LONGEST_SAVE_SECONDS))
            strike(hit, signal.SIGTERM)
        else:
            strike(hit, signal.SIGKILL)
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
    check_end(out, last, is_made_up=not words)
    print(json.dumps({"kills": int(num_kills), "steps": last, "stages": stages, "lost": lost}))
    if words:
        whole = out.with_name(f"{out.name}-whole")
        due = [f"out={whole}", "save_every=0", *ALIKE, f"max_steps={last}"]
        ids = start(training, [[*words, *due], whole.with_suffix(".samples"), 0], 1, 0, port, log)
        if list(ended(ids, last * WAIT_SECONDS).values()) != [0]:
            raise SystemExit(f"a run without kills fails: {log.read_text()[-2000:]}")
        compare(out, whole)


def compare(out, whole):
    """A run that was killed has the samples and the losses of one that was not."""
    found, wanted = computed(out.with_suffix(".samples")), computed(whole.with_suffix(".samples"))
    if found != wanted:
        raise SystemExit(f"samples were repeated or left out: {found} in place of {wanted}")
    found, wanted = losses(out), losses(whole)
    apart = max(abs(found[number] / loss - 1) for number, loss in wanted.items())
    if apart > NEAR:
        raise SystemExit(f"losses differ by a share of {apart}: {found} in place of {wanted}")


def check_end(out, last, *, is_made_up):
    """After all kills the run is as one that nothing interrupted."""
    if left := [path.name for path in (out / "checkpoints").glob(".*")]:
        raise SystemExit(f"the last start left {left}")
    entries = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    if [entry["step"] for entry in entries] != list(range(1, last + 1)):
        raise SystemExit(f"the log has the steps {[entry['step'] for entry in entries]}")
    if not is_made_up:
        return
    seen = [sample for entry in entries for sample in entry["samples"]]
    if seen != list(range(last * saving_run.SAMPLES)):
        raise SystemExit(f"samples were repeated or left out: {seen}")
    found = load_file(finished(out / "checkpoints")[-1] / "backbone.safetensors")
    for name, value in saving_run.weights_after(last).items():
        torch.testing.assert_close(found[name], value)


if __name__ == "__main__":
    main(*sys.argv[1:])
