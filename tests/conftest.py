import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from lumina_core.cli.commands import CONFIGURED
from lumina_core.plugins import host
from lumina_core.plugins.entry_points import plugins_on
from toy_plugin import EXTENSIONS, GIVEN, MODALITIES, OPTIONS, PLUGIN, YAML

if TYPE_CHECKING:
    from lumina_core.checkpoints.model import Model
    from tiny_pipelines import TinyPipeline

SMALL_REQUEST = "modality.height=32 modality.width=32 solver.num_steps=2"

WriteDistribution = Callable[..., Path]
Words = Callable[..., list[str]]


@pytest.fixture
def write_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteDistribution:
    """Write fake installed distributions, visible to the host of this process and of children."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site), prepend=":")
    for switch in ("LUMINA_BLOCK", "LUMINA_ONLY", "LUMINA_STRICT"):
        monkeypatch.delenv(switch, raising=False)
    before = set(sys.modules)
    monkeypatch.setattr(host, "installed_plugins", lambda: plugins_on((str(site),)))

    def write(
        package: str, modality: str, source: str | None = None, api: str = "(3, 0)", **files: str
    ) -> Path:
        module = package.replace("-", "_")
        info = site / f"{module}-0.1.dist-info"
        info.mkdir()
        about = f"Metadata-Version: 2.1\nName: {package}\nVersion: 0.1\nSummary: About {package}\n"
        (info / "METADATA").write_text(about)
        (info / "entry_points.txt").write_text(f"[{MODALITIES}]\n{modality} = {module}.plugin\n")
        folder = site / module
        (folder / "conf" / "modality").mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        text = PLUGIN.format(package=module, api=api) if source is None else source
        (folder / "plugin.py").write_text(text)
        (folder / "options.py").write_text(files.get("options", OPTIONS))
        (folder / "toy.py").write_text(files.get("toy", "class Toy: ...\n"))
        (folder / "conf" / "modality" / f"{modality}.yaml").write_text(files.get("yaml", YAML))
        host.forget()
        return folder

    yield write
    host.forget()
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(site) in sys.modules[name].__file__:
            del sys.modules[name]


@pytest.fixture
def write_extension(write_distribution: WriteDistribution, tmp_path: Path) -> Callable[..., Path]:
    """Write a fake installed extension `lumina-NAME`, its entry module and what else it ships."""

    def write(name: str, source: str = "", files: dict[str, str] | None = None) -> Path:
        site = tmp_path / "site"
        info, folder = site / f"lumina_{name}-0.1.dist-info", site / f"lumina_{name}"
        info.mkdir()
        about = f"Metadata-Version: 2.1\nName: lumina-{name}\nVersion: 0.1\nSummary: Adds {name}\n"
        (info / "METADATA").write_text(about)
        (info / "entry_points.txt").write_text(f"[{EXTENSIONS}]\n{name} = lumina_{name}\n")
        for path, text in {"__init__.py": source, **(files or {})}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        host.forget()
        return folder

    return write


@pytest.fixture
def toy(write_distribution: WriteDistribution) -> Path:
    """The folder of an installed modality of toys."""
    return write_distribution("lumina-toy", "toy")


@pytest.fixture
def write_conditioned(write_distribution: WriteDistribution) -> Callable[..., Path]:
    """Install a modality of toys with conditions, and with a YAML of its own if one is given."""

    def write(yaml: str = YAML) -> Path:
        condition = 'api={api}, condition="{package}.options:Given"'
        source = PLUGIN.replace("api={api}", condition).format(package="lumina_toy", api="(3, 0)")
        return write_distribution("lumina-toy", "toy", source, options=OPTIONS + GIVEN, yaml=yaml)

    return write


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The configurations that commands were called with, instead of the commands."""
    configs: list[Any] = []

    def record(config: Any) -> int:
        configs.append(config)
        return 0

    for each in CONFIGURED.values():
        home, _, name = each.function.partition(":")
        module = ModuleType(f"lumina_core.{home}")
        setattr(module, name, record)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    request = {"modality": "toy", "prompt": "a dög", "seed": 5, "solver": {"num_steps": 3}}
    for home in ("file_request", "compose"):
        monkeypatch.setattr(f"lumina_core.sampling.{home}.read_request", lambda path: request)
    return configs


@pytest.fixture(scope="session")
def tiny_vae(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusers folder that `train-vae` wrote after two steps."""
    from lumina_core.cli.main import main
    from lumina_core.training import train_vae

    out = tmp_path_factory.mktemp("vae") / "vae"
    words = ["max_steps=2", "batch_size=2", "block_channels=[8,8,8]", "seed=1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_vae, "NUM_STATISTICS", 4)
        assert main(["train-vae", "+modality=image", f"out={out}", *words]) == 0
    return out


@pytest.fixture
def other_vae(tiny_vae: Path, tmp_path: Path) -> Path:
    """The same autoencoder with another mean of its latents."""
    folder = tmp_path / "other-vae"
    shutil.copytree(tiny_vae, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"latents_mean": [9.0] * 4}))
    return folder


@pytest.fixture(scope="session")
def tiny_training(tiny_vae: Path) -> Words:
    """The words of `train` for a run of seconds; later words win over earlier ones."""

    from lumina_core.testing.fixtures import tiny_words

    def words(out: Path, *more: str) -> list[str]:
        where = ["+modality=image", f"modality.vae={tiny_vae}", f"out={out}"]
        return [*where, *tiny_words(), "token_budget=300", *more]

    return words


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_checkpoint_of: Callable[..., Path], tiny_vae: Path) -> Path:
    """A finished checkpoint of three steps, its training state included."""
    return tiny_checkpoint_of("image", f"modality.vae={tiny_vae}", "token_budget=300")


@pytest.fixture
def checkpoint_copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """The checkpoint in a folder that a test may damage."""
    folder = tmp_path / "copied-checkpoint"
    shutil.copytree(tiny_checkpoint, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_checkpoint: Path) -> "Model":
    """The checkpoint in memory."""
    import torch

    from lumina_core.checkpoints import model as checkpoint
    from lumina_core.config.compose import compose_options

    options = compose_options("image", {"patch_size": 2})
    cpu = torch.device("cpu")
    return checkpoint.load(tiny_checkpoint, "image", options, device=cpu, dtype=torch.float32)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def at_checkpoint(tiny_checkpoint: Path) -> list[str]:
    """The first words of a command that reads the checkpoint."""
    return ["+modality=image", f"checkpoint={tiny_checkpoint}", "device=cpu"]


@pytest.fixture
def ask(at_checkpoint: list[str]) -> Words:
    """The words of a small request; later words win over earlier ones."""
    return lambda *words: ["run", *at_checkpoint, *SMALL_REQUEST.split(), *words]


@pytest.fixture
def clean_refusal(work: Path, clean_refusal: Callable[..., str]) -> Callable[..., str]:
    """In an empty working folder."""
    return clean_refusal


@pytest.fixture(scope="session")
def metrics() -> Callable[[Path], list[dict[str, Any]]]:
    """Read what a training run logged into its folder."""
    return lambda out: [
        json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()
    ]


@pytest.fixture(scope="session")
def losses(
    metrics: Callable[[Path], list[dict[str, Any]]],
) -> Callable[[Path], dict[int, float]]:
    """Read the loss of each logged step."""
    return lambda out: {entry["step"]: entry["loss"] for entry in metrics(out)}


@pytest.fixture(scope="session")
def files_below() -> Callable[[Path], dict[str, bytes]]:
    """Read every file below a folder."""
    return lambda folder: {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")
    }


ENCODER_TEXTS = (
    "a red circle and a blue square",
    "a green star on the left of a white ring",
    "three yellow crosses on a navy background",
    "a picture of a small purple triangle",
)
ENCODER_SIZES = {"vocab_size": 300, "num_hidden_layers": 2, "num_attention_heads": 2}


def _sentencepiece(folder: Path, name: str, kind: str, **marks: int | str) -> None:
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(ENCODER_TEXTS * 10),
        model_writer=model,
        vocab_size=300 if kind == "bpe" else 60,
        model_type=kind,
        byte_fallback=kind == "bpe",
        hard_vocab_limit=False,
        minloglevel=2,
        **marks,
    )
    (folder / name).write_bytes(model.getvalue())


def _llama(folder: Path) -> None:
    """As meta-llama/Llama-2-7b-hf: shards, and a vocabulary of sentencepiece."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(hidden_size=32, intermediate_size=64, **ENCODER_SIZES)
    LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="30KB")
    _sentencepiece(folder, "tokenizer.model", "bpe", unk_id=0, bos_id=1, eos_id=2, pad_id=-1)
    about = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))


def _gemma(folder: Path) -> None:
    """As google/gemma-2b: shards and tokenizer.json."""
    from transformers import AutoTokenizer, GemmaConfig, GemmaForCausalLM

    heads = {"head_dim": 16, "num_key_value_heads": 1}
    config = GemmaConfig(hidden_size=32, intermediate_size=64, **heads, **ENCODER_SIZES)
    GemmaForCausalLM(config).save_pretrained(folder, max_shard_size="30KB")
    marks = {"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3}
    pieces = {f"{name}_piece": f"<{name}>" for name in ("pad", "eos", "bos")}
    _sentencepiece(folder, "tokenizer.model", "bpe", **marks, **pieces)
    about = {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True, "add_eos_token": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    (folder / "tokenizer.model").unlink()


def _t5(folder: Path) -> None:
    """As google/flan-t5-large: both halves in shards, and a vocabulary of sentencepiece."""
    from transformers import T5Config, T5ForConditionalGeneration

    sizes = {"d_model": 32, "d_ff": 64, "d_kv": 16, "num_layers": 2, "num_heads": 2}
    config = T5Config(vocab_size=300, **sizes)
    T5ForConditionalGeneration(config).save_pretrained(folder, max_shard_size="30KB")
    _sentencepiece(folder, "spiece.model", "unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "T5Tokenizer"}')


@pytest.fixture(scope="session")
def encoder_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny untrained text encoders in the formats of released ones, by their YAML's name."""
    import torch

    folders = {}
    for name, make in {"llama2_7b": _llama, "gemma_2b": _gemma, "t5": _t5}.items():
        folders[name] = tmp_path_factory.mktemp(name)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            make(folders[name])
    return folders


@pytest.fixture(scope="session")
def class_model(
    tmp_path_factory: pytest.TempPathFactory, tiny_pipeline: "Callable[[str], TinyPipeline]"
) -> Path:
    """Folder of a tiny class-conditional model as its authors release them, with an autoencoder."""
    import shutil

    from released import class_weights
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("classes")
    save_file(class_weights(), folder / "consolidated_ema.00-of-01.safetensors")
    shutil.copytree(tiny_pipeline("lumina_next").folder / "vae", folder / "vae")
    return folder


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], "TinyPipeline"]:
    """Folder and pipeline of a released family in tiny: lumina2, z_image or lumina_next."""
    from tiny_pipelines import PIPELINES, TinyPipeline

    made: dict[str, TinyPipeline] = {}

    def pipeline(name: str) -> TinyPipeline:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            made[name] = TinyPipeline(folder, PIPELINES[name](folder))
        return made[name]

    return pipeline
