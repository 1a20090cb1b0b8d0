"""Values that no config should have end in one line, and nothing large is made of them."""

import resource
import shutil

import pytest
import tiny_ace_step
import tiny_longcat
import tiny_ltx
import tiny_sounds
from folder_runs import asked_of, change

import tiny_wan
from lumina_core import LuminaError
from lumina_core.sampling.generate import generate_each, load_model

PLAIN = [*tiny_ace_step.SIZES, "guidance.scale=1"]
MADE = {
    "wan": (tiny_wan.pipeline, tiny_wan.SIZES, "video"),
    "ltx": (tiny_ltx.pipeline, tiny_ltx.SIZES, "video"),
    "sounds": (tiny_sounds.pipeline, tiny_sounds.SIZES, "audio"),
    "longcat": (tiny_longcat.pipeline, tiny_longcat.SIZES, "audio"),
    "ace_step": (tiny_ace_step.pipeline, PLAIN, "audio"),
}
MOST_KILOBYTES = 200_000
TRANSFORMER, VAE = "transformer/config.json", "vae/config.json"
SCHEDULER, TEXT = "scheduler/scheduler_config.json", "text_encoder/config.json"
ESCAPE, NESTED, NAN = "x\x1b[2J\n", {"a": {"b": [1]}}, float("nan")
CASES = [
    ("wan", TRANSFORMER, "num_attention_heads", -2),
    ("wan", TRANSFORMER, "patch_size", [1, -2, 2]),
    ("wan", TRANSFORMER, "patch_size", [1, 10**9, 2]),
    ("wan", TRANSFORMER, "attention_head_dim", 10**9),
    ("wan", TRANSFORMER, "eps", NAN),
    ("wan", SCHEDULER, "shift", NAN),
    ("wan", VAE, "z_dim", 10**9),
    ("wan", TEXT, "d_model", 10**9),
    ("wan", TEXT, "relative_attention_max_distance", -1),
    ("wan", TEXT, "relative_attention_num_buckets", ESCAPE),
    ("wan", TEXT, "relative_attention_max_distance", []),
    ("longcat", TEXT, "relative_attention_max_distance", -1),
    ("wan", "model_index.json", "boundary_ratio", 10**400),
    ("ltx", TRANSFORMER, "activation_fn", ESCAPE),
    ("ltx", TRANSFORMER, "cross_attention_dim", 10**9),
    ("ltx", TRANSFORMER, "norm_eps", NAN),
    ("ltx", VAE, "block_out_channels", [10**9] * 3),
    ("ltx", SCHEDULER, "base_shift", NESTED),
    ("sounds", TRANSFORMER, "embed_dim", 10**9),
    ("sounds", TRANSFORMER, "num_heads", -2),
    ("sounds", "duration_embedder/config.json", "max_freq", NAN),
    ("sounds", VAE, "sliding_window", 0),
    ("longcat", TRANSFORMER, "dit_heads", -1),
    ("longcat", TRANSFORMER, "dit_dim", 10**9),
    ("longcat", VAE, "strides", ESCAPE),
    ("longcat", VAE, "scale", ESCAPE),
    ("longcat", VAE, "scale", NESTED),
    ("longcat", VAE, "channels", 10**9),
    ("longcat", "model_index.json", "_class_name", ESCAPE),
    ("ace_step", TRANSFORMER, "rope_theta", NAN),
    ("ace_step", TRANSFORMER, "hidden_size", 10**9),
    ("ace_step", TRANSFORMER, "layer_types", NESTED),
    ("ace_step", "condition_encoder/config.json", "hidden_size", 10**9),
    ("ace_step", TEXT, "hidden_size", []),
]


def kilobytes():
    """Most that this process has had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")

    def of(name):
        if not (place / name).exists():
            MADE[name][0]().save_pretrained(place / name)
        return place / name

    return of


@pytest.mark.parametrize(("name", "file", "key", "value"), CASES, ids=str)
def test_an_odd_value_is_refused_in_one_line(folder_of, tmp_path, name, file, key, value):
    _, sizes, modality = MADE[name]
    copy = shutil.copytree(folder_of(name), tmp_path / "copy")
    change(copy / file, **{key: value})
    before = kilobytes()
    with pytest.raises(LuminaError) as raised:
        config = asked_of(copy, *sizes, "solver.num_steps=1", modality=modality)
        list(generate_each(load_model(config), [config]))
    said = str(raised.value)
    assert not {"\n", "\x1b"} & set(said)
    assert str(copy) in said
    assert kilobytes() - before < MOST_KILOBYTES
