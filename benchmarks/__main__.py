"""Every benchmark by its name.

python -m benchmarks                         # lists them
python -m benchmarks NAME [WORDS ...]        # as `python benchmarks/NAME.py WORDS ...`
python -m benchmarks peers [out=FOLDER]      # all that stand beside diffusers, and their plot
"""

import ast
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BESIDE_PEERS = ("forward", "step", "guided", "mixed", "growth")
HELPERS = ("__main__", "distilling", "gpu_cases", "peers", "plots")


def names() -> dict[str, str]:
    """The first line of each benchmark by its name."""
    files = sorted(path for path in HERE.glob("*.py") if path.stem not in HELPERS)
    texts = {path.stem: ast.get_docstring(ast.parse(path.read_text("utf-8"))) for path in files}
    return {name: (text or "").splitlines()[0] for name, text in texts.items()}


def run(name: str, words: list[str]) -> None:
    """One benchmark in this process, as a command of its own."""
    path = HERE / f"{name}.py"
    sys.argv = [str(path), *words]
    runpy.run_path(str(path), run_name="__main__")


def main(argv: list[str]) -> int:
    """List, or run what is named."""
    sys.path.insert(0, str(HERE))  # as for a script
    known = names()
    if not argv:
        width = max(map(len, known))
        print("\n".join(f"{name:{width}}  {line}" for name, line in known.items()))
        return 0
    name, *words = argv
    if name == "peers":
        settings = dict(word.split("=", 1) for word in words if "=" in word)
        out = Path(settings.get("out", "outputs/benchmarks"))
        out.mkdir(parents=True, exist_ok=True)
        for each in BESIDE_PEERS:
            run(each, [f"out={out / each}.json"])
        run("plots", [str(out)])
        return 0
    if name not in known:
        print(f"error: no benchmark is called {name!r}; choose one of {', '.join(known)}, peers")
        return 2
    run(name, words)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
