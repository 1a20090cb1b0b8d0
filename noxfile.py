"""How the project is tested, checked and built. `nox -R` reuses the environments."""

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nox

ROOT = Path(__file__).parent
PLUGINS = sorted(str(path.parent.relative_to(ROOT)) for path in ROOT.glob("plugins/*/setup.cfg"))
PROMPTS = {
    "image": "a red circle to the left of a blue square",
    "video": "a red circle moving to the right",
    "multiview": "a cube, red in front and blue behind",
    "audio": "two short high beeps, then a falling sweep",
}
SHARED = "lumina-demo"  # has no modality, but the demo of those whose plugins ship none
WITHOUT_MODALITY = (SHARED, "lumina-diffusers")
CONSTRAINED = {"PIP_CONSTRAINT": str(ROOT / "constraints.txt")}

EXPORT = """
import json, sys
from pathlib import Path
import torch
from lumina_core.checkpoints.folder import export
run, out, advice = sys.argv[1:]
export(max(Path(run).glob("checkpoints/step-*")), Path(out), torch.bfloat16, json.loads(advice))
"""  # bfloat16 weights without the training state; the advice is by modality

nox.options.sessions = [
    *("tests", "faults", "demos", "worlds", "docs"),
    *("lint", "types", "pages", "wheel"),
]
EVERYTHING = ["-e", ".[test]", *(word for plugin in PLUGINS for word in ("-e", plugin))]


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests with shape checking on, but for what the sessions below run."""
    session.install(*EVERYTHING, env=CONSTRAINED)
    _test(session, "python", *session.posargs)


@nox.session(venv_backend="none")
def faults(session: nox.Session) -> None:
    """Plant every fault that the contract must find; `tests` plants the first of each rule."""
    _test(session, _tested(session), "-m", "faults", *session.posargs)


@nox.session(venv_backend="none")
def demos(session: nox.Session) -> None:
    """Judge what the demos make, and decode a picture of 2048 pixels."""
    _test(session, _tested(session), "-m", "demos", *session.posargs)


@nox.session(venv_backend="none")
def worlds(session: nox.Session) -> None:
    """Judge many drawings of every world by its oracle."""
    _test(session, _tested(session), "-m", "worlds", *session.posargs)


@nox.session(venv_backend="none")
def docs(session: nox.Session) -> None:
    """Run the pages whose code takes long; `-- write` makes the generated parts of pages anew."""
    python = _tested(session)
    if session.posargs == ["write"]:
        session.run(python, "tests/support/doc_pages.py", "write")
    else:
        _test(session, python, "-m", "docs", *session.posargs)


def _test(session: nox.Session, python: str, *words: str) -> None:
    # of two processes each computes with one thread
    spread = ("-n", "2", "--dist", "loadfile")
    session.run(python, "-m", "pytest", *spread, *words, env={"OMP_NUM_THREADS": "1"})


def _tested(session: nox.Session) -> str:
    """The Python of the environment of `tests`, which is made if it is not there."""
    python = session.cache_dir.parent / "tests" / "bin" / "python"
    if not python.exists():
        session.run(sys.executable, "-m", "venv", str(python.parent.parent))
        session.run(str(python), "-m", "pip", "install", *EVERYTHING, env=CONSTRAINED)
    return str(python)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install("ruff", env=CONSTRAINED)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Check types."""
    python = _tested(session)
    session.run(python, "-m", "pip", "install", "mypy", env=CONSTRAINED)
    session.run(python, "-m", "mypy", "lumina_core")


@nox.session
def pages(session: nox.Session) -> None:
    """Build the documentation as HTML into site/; a link that leads nowhere is an error."""
    session.install("mkdocs", env=CONSTRAINED)
    session.run("mkdocs", "build", "--strict")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build from a clean clone, install all into one fresh environment and each alone, and run."""
    folder = Path(session.create_tmp()).absolute()
    clone, wheels, away = folder / "clone", folder / "wheels", folder / "away"
    for path in (clone, wheels, away):
        session.run("rm", "-rf", str(path), external=True)
    session.run("git", "clone", "--quiet", str(ROOT), str(clone), external=True)
    away.mkdir()
    wheels.mkdir()
    session.install("build", "setuptools>=77", env=CONSTRAINED)  # all that pyproject.toml names
    for source in (clone, *(clone / plugin for plugin in PLUGINS)):
        # the wheel is built from the sdist, so both are complete
        session.run("python", "-m", "build", "--no-isolation", "--outdir", str(wheels), str(source))
    _check_conf(session, clone, next(wheels.glob("lumina_core-*.whl")))
    session.install(*(str(path) for path in wheels.glob("*.whl")), env=CONSTRAINED)
    with session.chdir(away):
        session.run("lumina", "plugins", "--check")
        for shell in ("bash", "zsh"):
            session.run("lumina", "completion", shell, silent=True)
        session.run("lumina", "new-modality", "chirp")
        session.install("./lumina-chirp", env=CONSTRAINED)
        session.run("lumina", "doctor", "chirp", "--contract")
        session.run("python", "-m", "pip", "uninstall", "--quiet", "--yes", "lumina-chirp")
        for plugin in PLUGINS:
            if Path(plugin).name not in WITHOUT_MODALITY:
                _run_alone(session, wheels, clone / plugin, folder / "alone")


def _run_demo(session: nox.Session, modality: str, python: Path) -> None:
    """Make something with the demo of a modality; that there is none is an error."""
    words = ("run", f"+modality={modality}", PROMPTS[modality], "json=true")
    printed = _isolated(session, python, *words)
    made = json.loads(printed)["files"][0]["path"]
    if not Path(made).is_file():
        session.error(f"{made} was not written")


def _run_alone(session: nox.Session, wheels: Path, plugin: Path, place: Path) -> None:
    """Use a plugin where there is no other one, nor a library that nobody declares.

    One that ships no demo stands beside the package with the shared one.
    """
    modality = plugin.name.removeprefix("lumina-")
    has_own = (plugin / f"lumina_{modality}" / "demo" / "lumina.json").is_file()
    names = [plugin.name] if has_own else [plugin.name, SHARED]
    script = str(ROOT / ".ci" / "one_plugin.py")
    session.run("python", "-I", script, str(wheels), str(place), *names)
    python = place / "bin" / "python"
    listed = json.loads(_isolated(session, python, "plugins", "--check", "--json"))
    if [each["package"] for each in listed] != names:
        session.error(f"{', '.join(names)} are not alone: {listed}")
    _isolated(session, python, "doctor", modality)
    _run_demo(session, modality, python)


def _isolated(session: nox.Session, python: Path, *words: str) -> str:
    """What a command prints in an environment, without this folder or PYTHONPATH."""
    command = (str(python), "-I", "-m", "lumina_core", *words)
    return str(session.run(*command, silent=True, stderr=None, external=True))


def _check_conf(session: nox.Session, clone: Path, wheel_file: Path) -> None:
    """Every YAML file of conf/ and every file of the templates is in the wheel, and no other."""
    there = {str(path.relative_to(clone)) for path in clone.glob("conf/**/*.yaml")}
    template = (clone / "lumina_core").glob("cli/templates/**/*")
    there |= {str(path.relative_to(clone / "lumina_core")) for path in template if path.is_file()}
    names = zipfile.ZipFile(wheel_file).namelist()
    found = (name.removeprefix("lumina_core/") for name in names)
    packed = {name for name in found if name.startswith(("conf/", "cli/templates/"))}
    if there != packed:
        session.error(f"conf/, the templates and the wheel differ: {sorted(there ^ packed)}")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure what stands beside diffusers into outputs/benchmarks, or a benchmark by its name."""
    session.install(*EVERYTHING, "matplotlib", env=CONSTRAINED)
    session.run("python", "-m", "benchmarks", *(session.posargs or ["peers"]))


@nox.session
def demo(session: nox.Session) -> None:
    """Train the demo of all modalities into outputs/demo/checkpoint, `-- 1` its next leg alone."""
    session.install(*EVERYTHING, env=CONSTRAINED)
    session.run("python", ".ci/train_demo.py", *session.posargs)


@nox.session
def demo_image(session: nox.Session) -> None:
    """Train the image demo anew into outputs/demo-image/checkpoint: six hours of one CPU."""
    out = "outputs/demo-image"
    lumina = _trainer(session, "image", out)
    longer = ("batch_size=12", "learning_rate=0.0015")
    lumina("train-vae", "vae-1")
    lumina("train-vae", "vae-2", f"init_from={out}/vae-1", "max_steps=2000", *longer)
    decoder = ("decoder_only=true", "max_steps=2500", *longer)
    lumina("train-vae", "vae-3", f"init_from={out}/vae-2", *decoder)
    lumina("train", "first", f"modality.vae={out}/vae-3")
    first = f"init_from={out}/first/checkpoints/step-0004400"
    lumina("train", "second", f"modality.vae={out}/vae-3", first, "max_steps=5200", "seed=3")
    second = f"init_from={out}/second/checkpoints/step-0005200"
    slower = ("optimizer.muon_learning_rate=0.015", "optimizer.learning_rate=0.0015")
    more = ("max_steps=6200", "seed=4", "position_jitter=0.3", *slower)
    lumina("train", "third", f"modality.vae={out}/vae-3", second, *more)
    # docs/use/resolution.md has the figures
    advice = {"coarse": {"above": 132, "strength": 0.5}, "longest_side": 24.0}
    _export(session, f"{out}/third", out, {"image": advice})


@nox.session
def demo_video(session: nox.Session) -> None:
    """Train the video demo anew into outputs/demo-video/checkpoint, from the image demo."""
    out = "outputs/demo-video"
    lumina = _trainer(session, "video", out)
    image = f"init_from={ROOT}/plugins/lumina-image/lumina_image/demo"
    lumina("train", "first", image, "data.max_tokens=150", "max_steps=6000")
    first = f"init_from={out}/first/checkpoints/step-0006000"
    lumina("train", "second", first, "data.max_tokens=320", "max_steps=5500", "seed=8")
    second = f"init_from={out}/second/checkpoints/step-0005500"
    lumina("train", "third", second, "max_steps=1900", "optimizer.decay_share=0.6", "seed=9")
    _export(session, f"{out}/third", out, {})


@nox.session
def demo_multiview(session: nox.Session) -> None:
    """Train the multi-view demo, from the video demo, into outputs/demo-multiview/checkpoint."""
    out = "outputs/demo-multiview"
    lumina = _trainer(session, "multiview", out)
    video = f"{ROOT}/plugins/lumina-video/lumina_video/demo"
    shorter = ("max_steps=1500", "batch_size=5", "learning_rate=0.0015")
    lumina("train-vae", "vae-1", f"init_from={video}/vae/video", *shorter)
    lumina("train-vae", "vae-2", f"init_from={out}/vae-1", "decoder_only=true", *shorter)
    falling = ("optimizer.decay_share=0.4", "seed=1", f"modality.vae={out}/vae-2")
    lumina("train", "first", f"init_from={video}", *falling)
    lumina("train", "first", "resume=true", "max_steps=12000", *falling)  # the rate rises once more
    _export(session, f"{out}/first", out, {})


@nox.session
def demo_audio(session: nox.Session) -> None:
    """Train the audio demo anew into outputs/demo-audio/checkpoint."""
    out = "outputs/demo-audio"
    lumina = _trainer(session, "audio", out)
    lumina("train-vae", "vae-1", "max_steps=1600", "batch_size=2")
    lumina("train-vae", "vae-2", f"init_from={out}/vae-1", "max_steps=2400", "batch_size=2")
    wider = ("max_steps=1600", "batch_size=3", "learning_rate=0.0015")
    lumina("train-vae", "vae-3", f"init_from={out}/vae-2", *wider)
    decoder = ("decoder_only=true", "max_steps=1500", "batch_size=3", "learning_rate=0.0015")
    lumina("train-vae", "vae-4", f"init_from={out}/vae-3", *decoder)
    lumina("train", "first", f"modality.vae={out}/vae-4", "optimizer.decay_share=0.01")
    first = f"init_from={out}/first/checkpoints/step-0010000"
    falling = ("max_steps=3500", "optimizer.decay_share=0.7", "seed=3")
    lumina("train", "second", f"modality.vae={out}/vae-4", first, *falling)
    advice = {"position_limit": 32.0}  # 4 s, the longest of training
    _export(session, f"{out}/second", out, {"audio": advice})


def _trainer(session: nox.Session, modality: str, out: str) -> Callable[..., None]:
    """Install everything; a function that runs a training command into a folder below `out`."""
    plugins = [word for plugin in PLUGINS for word in ("-e", plugin)]
    session.install("-e", ".", *plugins, env=CONSTRAINED)

    def lumina(command: str, folder: str, *words: str) -> None:
        # one thread is nearly as fast as two for models of this size
        where = (f"+modality={modality}", f"out={out}/{folder}", "num_threads=1")
        session.run("python", "-m", "lumina_core", command, *where, *words)

    return lumina


def _export(session: nox.Session, run: str, out: str, advice: dict[str, Any]) -> None:
    """The last checkpoint of a training run, as it is shipped."""
    session.run("python", "-c", EXPORT, run, f"{out}/checkpoint", json.dumps(advice))
