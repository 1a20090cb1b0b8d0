"""What users read about the keys of the core, held in a file: help, and refusals of values.

`python tests/config/test_texts_of_keys.py write` writes the file anew; read the difference line by
line.
"""

import json
import sys
from pathlib import Path

import pytest

from lumina_core import LuminaError
from lumina_core.cli import help
from lumina_core.cli.commands import CONFIGURED

FILE = Path(__file__).parent / "golden" / "texts_of_keys.json"
COMMANDS = ("run", "infer", "train", "train-vae", "cache", "evaluate")
WRONG = {
    "run": (
        *("solver.name=x", "solver.num_steps=0", "solver.num_steps=10001", "solver.shift=0"),
        *("solver.shift=[1,2]", "solver.shift=[9,0.5,9,1]", "solver.shift=[0,0.5,9,1]"),
        *("solver.name=dopri5 solver.atol=0", "solver.name=dopri5 solver.rtol=inf"),
        *("guidance.scale=-1", "guidance.scale=inf", "guidance.interval=[0.5,0.2]"),
        *("guidance.interval=[0,2]", "guidance.channels=0", "rope_scaling.linear=0"),
        *("guidance.rule=x", "guidance.renormalise=x", "guidance.share_of_steps=2"),
        *("guidance.norm_limit=2", "guidance.renormalise=sample guidance.norm_limit=0"),
        *("solver=dopri5 guidance.share_of_steps=0.5",),
        *("rope_scaling.ntk=-1", "rope_scaling.watershed=2", "longest_side=0", "longest_side=nan"),
        *("position_limit=-1", "proportional_attention=1", "token_budget=0", "num_samples=0"),
        *("num_samples=10001", "seed=-1", "seed=9223372036854775807 num_samples=2"),
        *("coarse.above=9 coarse.tokens=0", "coarse.above=9 coarse.tokens=10"),
        *("coarse.above=90 coarse.strength=0", "coarse.above=90 coarse.strength=1"),
        *("condition.strength=0", "condition.strength=2", "condition.strength=0.5"),
        *("modality.height=0", "modality.width=16385", "modality.patch_size=3", "device=x"),
        *("modality.height=16384 modality.width=16384", "condition.offset=[0,-1]"),
        *("condition.image=a.png condition.offset=[0,-1]", "dtype=x", "attention=x"),
    ),
    "evaluate": (
        *("num_prompts=0", "seed=-1", "splits=[]", "splits=[a,a]", "token_budget=0"),
        *("solver.num_steps=0", "guidance.scale=nan"),
    ),
    "train": (
        *("max_steps=0", "token_budget=0", "num_threads=0", "log_every=0", "seed=-1"),
        *("gradient_accumulation=0", "max_nonfinite_steps=0", "num_validation_samples=0"),
        *("validate_every=1 num_validation_samples=0", "validate_every=-1", "evaluate_every=-1"),
        *("evaluate_every=1 num_evaluation_prompts=0", "sample_every=-1", "save_every=-1"),
        *("num_sample_prompts=-1", "validate_every=1 validation_times=[]", "caption_dropout=2"),
        *("validate_every=1 validation_times=[0.1,0.1]", "validate_every=1 validation_times=[2]"),
        *("condition_share=-1", "position_jitter=3", "position_jitter=-1"),
        *("resume=true overwrite=true", "backbone.hidden_size=0", "backbone.depth=0"),
        *("backbone.num_heads=0", "backbone.num_heads=3", "backbone.num_kv_heads=0"),
        *("backbone.num_kv_heads=3", "backbone.text_dim=0", "backbone.conditioning_size=0"),
        *("backbone.multiple_of=0", "backbone.ffn_dim_multiplier=0", "backbone.norm_eps=0"),
        *("backbone.rope=x", "backbone.rope_theta=0", "backbone.rope_dims=null"),
        *("backbone.rope_dims=[2,2,2]", "text_encoder.max_tokens=0", "text_encoder.dtype=x"),
        *("text_encoder.max_tokens=16385", "text_encoder.hidden_state=0", "text_encoder.depth=0"),
        *("text_encoder.hidden_size=0", "text_encoder.num_heads=0", "text_encoder.hidden_size=7"),
        *("text_encoder.trainable=false", "text_encoder.dtype=float16", "text_encoder.cache=x"),
        *("optimizer.name=x", "optimizer.learning_rate=0", "optimizer.muon_learning_rate=inf"),
        *("optimizer.clip_norm=0", "optimizer.ema_decay=2", "optimizer.decay_share=-1"),
        *("optimizer.betas=[0.9,1]", "optimizer.warmup_steps=-1", "optimizer.weight_decay=-1"),
        *("time.distribution=x", "time.mean=inf", "time.std=0", "time.shift=0", "data.name=x"),
        *("data.pool_size=0", "data.pool_start=0", "data.refresh_per_step=-1"),
        *("data.pool_size=2 data.refresh_per_step=3", "data.max_tokens=0"),
        *("data=folder data.min_tokens=0", "data=folder data.max_tokens=2"),
        *("data=folder data.max_aspect=0.5", "data=manifest data.max_quarantined=2"),
        *("save_dtype=x", "dtype=float16"),
    ),
    "train-vae": (
        *("max_steps=0", "batch_size=0", "num_threads=0", "log_every=0", "latent_channels=0"),
        *("layers_per_block=0", "seed=-1", "block_channels=[]", "block_channels=[8,0]"),
        *("decoder_only=true", "learning_rate=0"),
    ),
    "cache": (
        *("num_samples=0", "seed=-1", "store_dtype=float16", "shard_megabytes=0", "num_threads=0"),
        *("data=cache", "data=folder num_samples=3", "data.pool_size=3", "data.max_tokens=0"),
    ),
}
"""Values that are refused, or that only the command refuses, by command."""


def help_of(command: str) -> list[str]:
    """The lines about the keys of the core."""
    lines = help.command_help(command)
    first = lines.index("keys:")
    return lines[first : lines.index("", first)]


def refusal_of(command: str, words: str) -> str | None:
    """The line that refuses them; None where the composition takes them."""
    prompt = ["prompt=a red circle"] * (command == "run")
    try:
        CONFIGURED[command].compose(["modality=image", *prompt, *words.split()])
    except LuminaError as error:
        return str(error)
    return None


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_the_keys_of_the_core_as_it_did(command):
    assert help_of(command) == json.loads(FILE.read_text())["help"][command]


@pytest.mark.parametrize("command", WRONG)
def test_values_out_of_bounds_are_refused_as_they_were(command):
    told = json.loads(FILE.read_text())["refusals"][command]
    assert {words: refusal_of(command, words) for words in WRONG[command]} == told


if __name__ == "__main__" and sys.argv[1:] == ["write"]:
    texts = {
        "help": {command: help_of(command) for command in COMMANDS},
        "refusals": {
            command: {words: refusal_of(command, words) for words in told}
            for command, told in WRONG.items()
        },
    }
    FILE.write_text(json.dumps(texts, indent=1, ensure_ascii=False) + "\n")
