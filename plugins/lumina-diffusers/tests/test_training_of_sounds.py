"""An adapter is trained on the networks of sounds, as on those of clips."""

import json

import pytest
import tiny_longcat
import tiny_sounds
from folder_runs import asked_of, latent_of
from torch import nn

import lumina_core
from lumina_core.cli.main import main
from tiny_wan import PROMPT

pytest.importorskip("peft")
MADE = {
    "longcat": (tiny_longcat.pipeline, tiny_longcat.SIZES),
    "sounds": (tiny_sounds.pipeline, tiny_sounds.SIZES),
}
FAST = ["optimizer.learning_rate=0.02", "optimizer.warmup_steps=0", "max_steps=16"]
TIMES = 4  # losses of so many steps are averaged


@pytest.fixture(scope="module", params=MADE)
def made(request, tmp_path_factory):
    """The folder of a tiny model, that of two sounds with captions, and words for their size."""
    make, sizes = MADE[request.param]
    place = tmp_path_factory.mktemp(request.param)
    make().save_pretrained(place / "model")
    (place / "data").mkdir()
    for number, caption in enumerate((PROMPT, "the sun sets slowly")):
        words = ["+modality=audio", f"checkpoint={place / 'model'}", f"seed={number}", *sizes]
        words += ["solver.num_steps=1", "device=cpu", f"out={place / 'data' / f'{number}.wav'}"]
        assert main(["run", *words, caption]) == 0
        (place / "data" / f"{number}.txt").write_text(caption)
    return place / "model", place / "data", sizes


def test_an_adapter_lowers_the_loss_and_run_uses_it(made, tmp_path):
    folder, data, sizes = made
    out = tmp_path / "out"
    words = ["+modality=audio", f"init_from={folder}", "adapter=lora", "adapter.rank=4", *FAST]
    words += ["data=folder", f"data.path={data}", "data.min_tokens=4", "data.max_tokens=64"]
    words += ["data.pool_size=2", "data.refresh_per_step=0", "token_budget=200", *sizes]
    words += ["adapter.targets=[attention,feed_forward,text,modulation,projections]"]
    words += ["device=cpu", "log_every=1", "sample_every=0", f"out={out}"]
    assert main(["train", *words]) == 0
    lines = (out / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line)["loss"] for line in lines]
    assert sum(found[-TIMES:]) < 0.9 * sum(found[:TIMES])
    plain = latent_of(asked_of(folder, *sizes, modality="audio"))
    adapted = latent_of(asked_of(folder, *sizes, f"adapters=[{out}]", modality="audio"))
    assert (plain - adapted).abs().max() > 0.05


def test_every_linear_layer_has_the_role_that_it_has_in_ours(made):
    network = lumina_core.load(made[0], device="cpu").checkpoint.backbone
    linears = [k for k, each in network.named_modules() if isinstance(each, nn.Linear)]
    for key in linears:
        role = network.role_of(f"{key}.weight")
        assert (role == "attention") == (".self_attn." in key)
        assert (role == "feed_forward") == (".ff." in key or ".ffn." in key)
        assert (role is None) == ("to_local_embed" in key), key
