"""First uses of a modality in forks of one process, which has imported what a command has.

A new process spends two seconds on these imports; a fork is as clean and spends none.
"""

import atexit
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

SERVER = """
import importlib, json, os, sys, traceback

def use(module, ask):
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(ask[name], os.O_WRONLY | os.O_CREAT), number)
    os.chdir(ask["folder"])
    os.environ.clear()
    os.environ.update(ask["environment"])
    sys.path[1:1] = ask["environment"].get("PYTHONPATH", "").split(":")
    importlib.invalidate_caches()
    code = 1
    try:
        module.main(*ask["words"])
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

for line in sys.stdin:
    ask = json.loads(line)
    module = importlib.import_module(ask["module"])
    child = os.fork()
    if child == 0:
        use(module, ask)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@cache
def _server() -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SERVER]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate)
    return server


def start(command: list[str]) -> subprocess.CompletedProcess[str]:
    """What `first_use.start` gives, by a fork."""
    _, _, module, *words = command
    server = _server()
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        asked = {"module": module, "words": words, "out": str(out), "err": str(err)}
        here = {"folder": os.getcwd(), "environment": dict(os.environ)}
        print(json.dumps(asked | here), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(command, code, out.read_text(), err.read_text())
