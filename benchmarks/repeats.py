"""Whether `repeat=` makes the same media again, in fresh processes, under conditions that differ.

    python benchmarks/repeats.py [MODALITY ...] [--num 200] [--out FILE.jsonl]

Each modality makes one file, then the file is made again `num` times. Every repeat is a process of
its own with one thread; SHARED of them are forked from one that has done the imports and nothing
else. What may differ between two runs on one machine differs on purpose: the seed of Python's
hashes, the bytes with which the C library fills memory that was never written, the size of the
environment (it moves the stack), what the process allocated before, and whether another run works
beside it. One line of JSON per repeat; the last lines count what was equal.
"""

import argparse
import contextlib
import io
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

PROMPTS = {
    "image": "a red circle to the left of a blue square",
    "video": "a red circle moving to the right",
    "multiview": "a cube, red in front and blue behind",
    "audio": "two short high beeps, then a falling sweep",
}
SUFFIXES = {"image": ".png", "video": ".webp", "multiview": ".png", "audio": ".wav"}
SHARED = 10  # repeats that share the imports of one process
MAX_BYTE = 255
MAX_PADDING = 4096  # bytes of a variable that nothing reads
MAX_JUNK = 1 << 20  # bytes that a process allocates before
BESIDE = 0.25  # of the groups have another run beside them


def run(words: list[str]) -> str:
    """The hash of the media that one run makes, in this process."""
    from lumina_core.cli.main import main

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = main(["run", *words, "overwrite=true", "json=true"])
    if code:
        raise SystemExit(code)
    return str(json.loads(out.getvalue())["files"][0]["media_sha256"])


def repeats(path: Path, count: int) -> None:
    """Print the hashes of `count` repeats of a file, each in a process forked from this one."""
    import diffusers.models.autoencoders.autoencoder_kl  # noqa: F401  what a run imports
    import torch  # noqa: F401
    import transformers.models.llama.modeling_llama  # noqa: F401

    for number in range(count):
        child = os.fork()
        if child == 0:
            chooser = random.Random()
            junk = [bytearray(chooser.randrange(MAX_JUNK)) for _ in range(chooser.randrange(100))]
            del junk[::2]
            print(run([f"repeat={path}", f"out={path.with_name(f'again-{path.name}')}"]))
            sys.stdout.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit(f"repeat {number} of {path} failed")


def conditions(chooser: random.Random) -> dict[str, str]:
    """What differs between two runs; none of it may change a pixel."""
    return {
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": str(chooser.randrange(2**32)),
        "MALLOC_PERTURB_": str(chooser.randint(0, MAX_BYTE)),  # 0: memory is left as it is
        "LUMINA_PADDING": "x" * chooser.randrange(MAX_PADDING),
    }


def group(path: Path, chooser: random.Random) -> tuple[list[str], dict[str, object]]:
    """The hashes of SHARED repeats, and the conditions that they ran under."""
    variables = conditions(chooser)
    words = [sys.executable, "-P", __file__, "--child", str(path)]
    is_beside = chooser.random() < BESIDE
    beside = None
    if is_beside:
        copy = path.with_name(f"beside-{path.name}")
        copy.write_bytes(path.read_bytes())
        beside = subprocess.Popen([*words[:-1], str(copy)], stdout=subprocess.DEVNULL)
    done = subprocess.run(
        words, env=os.environ | variables, stdout=subprocess.PIPE, text=True, check=True
    )
    if beside is not None:
        beside.wait()
    padding = len(variables.pop("LUMINA_PADDING"))
    return done.stdout.split(), variables | {"padding": padding, "is_beside": is_beside}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modalities", nargs="*", default=list(PROMPTS), metavar="MODALITY")
    parser.add_argument("--num", type=int, default=200, help="repeats of each, in groups of ten")
    parser.add_argument("--out", type=Path, help="the lines, also into this file")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        repeats(arguments.child, SHARED)
        return
    chooser = random.Random(0)
    equal: Counter[str] = Counter()
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        first = {}
        for name in arguments.modalities:
            path = Path(folder, name + SUFFIXES[name])
            first[path] = (
                name,
                run([f"+modality={name}", f"prompt={PROMPTS[name]}", f"out={path}"]),
            )
        for _ in range(arguments.num // SHARED):
            for path, (name, wanted) in first.items():
                found, about = group(path, chooser)
                num_equal = sum(each == wanted for each in found)
                equal[name] += num_equal
                total[name] += len(found)
                line = {"modality": name, "equal": num_equal, "of": len(found), **about}
                print(json.dumps(line), flush=True)
                if arguments.out:
                    with arguments.out.open("a") as file:
                        file.write(json.dumps(line) + "\n")
    for name in arguments.modalities:
        print(f"{name}: {equal[name]} of {total[name]} equal")


if __name__ == "__main__":
    main()
