"""Starts scripts as torchrun does, on two ranks of this machine."""

import os
import subprocess
import sys
from pathlib import Path

SUPPORT = Path(__file__).parent
LIMIT = 900  # seconds, in which a run that hangs is over on a machine that does other things


def on_ranks(*words, num_ranks=2, module=False, **environment):
    """What ranks say and exit with, of a script in this folder or of a module.

    Args:
        words: the script or the module, and what is given to it.
        num_ranks: processes.
        module: whether the first word is a module.
        environment: beside that of this process.
    """
    torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_ranks}"]
    what = ["-m", *words] if module else [str(SUPPORT / words[0]), *words[1:]]
    paths = os.pathsep.join(filter(None, [str(SUPPORT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *torchrun, *map(str, what)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths} | environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
