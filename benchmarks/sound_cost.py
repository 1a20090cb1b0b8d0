"""CPU seconds of a sound of ten seconds from a network of the size of Stable Audio 3 small.

    python benchmarks/sound_cost.py FOLDER [WORDS OF RUN]

FOLDER gets a model with random weights, if it holds none yet: 0.5B of the network, the autoencoder
of the small models, and a text encoder of their width that knows a few words. Set
OMP_NUM_THREADS=1 for the time of one core.
"""

import sys
import time
from pathlib import Path

import diffusers
import torch
from transformers import T5GemmaConfig, T5GemmaEncoderModel

from lumina_core.cli.main import main

ROOT = Path(__file__).resolve().parent.parent
SIZES = {
    "embed_dim": 1024,
    "depth": 20,
    "num_heads": 16,
}  # about 0.5B; the released ones are not known
TEXT = {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12}
TEXT |= {"num_attention_heads": 12, "num_key_value_heads": 12, "head_dim": 64, "vocab_size": 32}
PROMPT = "a red fox runs over snow"  # words that the tiny tokenizer has


def make(folder: Path) -> None:
    """Write the folder."""
    sys.path.insert(0, str(ROOT / "plugins/lumina-diffusers/tests"))
    from tiny_wan import text_parts

    halves = {"encoder": dict(TEXT), "decoder": dict(TEXT)}
    config = T5GemmaConfig(**halves, is_encoder_decoder=False, vocab_size=TEXT["vocab_size"])
    diffusers.StableAudio3Pipeline(
        vae=diffusers.AutoencoderSAME(),
        text_encoder=T5GemmaEncoderModel(config),
        tokenizer=text_parts()[0],
        duration_embedder=diffusers.StableAudio3DurationEmbedder(),
        transformer=diffusers.StableAudio3DiTModel(**SIZES).to(torch.bfloat16),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(num_train_timesteps=1),
    ).save_pretrained(folder)


def measure(folder: Path, words: list[str]) -> None:
    """Make one sound and say what it took, reading of the weights included."""
    asked = ["+modality=audio", f"checkpoint={folder}", "modality.seconds=10", "device=cpu"]
    started, wall = time.process_time(), time.perf_counter()
    code = main(["run", *asked, f"out={folder / 'sound.wav'}", "overwrite=true", *words, PROMPT])
    cpu, wall = time.process_time() - started, time.perf_counter() - wall
    print(f"code {code}: {cpu:.1f} s of CPU, {wall:.1f} s on the clock", flush=True)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    if not (place / "model_index.json").exists():
        make(place)
    measure(place, sys.argv[2:])
