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
from lumina_core.testing import first_use

def use(ask):
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
        first_use.main(*ask["words"])
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        use(json.loads(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@cache
def _server() -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SERVER]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate)
    return server


def start(words: list[str]) -> subprocess.CompletedProcess[str]:
    """What `first_use.start` gives, by a fork."""
    server = _server()
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        asked = {"words": words, "folder": os.getcwd(), "out": str(out), "err": str(err)}
        print(json.dumps(asked | {"environment": dict(os.environ)}), file=server.stdin, flush=True)
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(words, code, out.read_text(), err.read_text())
