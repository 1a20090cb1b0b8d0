"""Ways to take less memory: blocks in turn, the pair of guidance in turn, the text on the CPU."""

import pytest
import tiny_ltx
import torch
from fake_cuda import played_streams
from folder_runs import asked_of, latent_of
from test_wan22 import LARGE, SIZE, pipeline_of

import tiny_wan
from lumina_core import LuminaError
from lumina_core.backbone.streamed import StreamedBlocks
from lumina_core.checkpoints.placement import Placement
from lumina_core.cli.main import main
from lumina_core.sampling.generate import load_model
from tiny_wan import PROMPT, sized

CPU = torch.device("cpu")
MADE = {
    "wan": (tiny_wan.pipeline, tiny_wan.SIZES),
    "ltx": (tiny_ltx.pipeline, tiny_ltx.SIZES),
    "wan22": (lambda: pipeline_of(LARGE), sized(*SIZE[LARGE])),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("models")
    for name, (make, _) in MADE.items():
        make().save_pretrained(place / name)
    return place


@pytest.mark.parametrize("name", MADE)
def test_streamed_blocks_give_the_same_latent(folders, monkeypatch, name):
    words = [*MADE[name][1], "dtype=bfloat16"]  # of which Wan keeps some in float32
    wanted = latent_of(asked_of(folders / name, *words))
    streams = played_streams(monkeypatch)
    monkeypatch.setattr(Placement, "check", lambda self: None)  # which wants a GPU
    config = asked_of(folders / name, *words, "offload=blocks")
    found = latent_of(config)
    network = load_model(config).ready_backbone()
    held = [getattr(*place) for place in network.block_lists()]
    lists = [m for m in network.modules() if isinstance(m, StreamedBlocks)]
    assert not held
    assert len(lists) == 1 + (name == "wan22")
    assert len(streams.pinned) == sum(map(len, lists)) == 2 * len(lists)
    assert torch.equal(found, wanted)


def test_eight_bits_are_refused_in_one_line(folders, tmp_path, capsys):
    words = ["+modality=video", f"checkpoint={folders / 'wan'}", "quantise=int8", "device=cpu"]
    assert main(["run", *words, PROMPT, f"out={tmp_path / 'a.mp4'}"]) == 2
    error = capsys.readouterr().err
    assert "quantise=int8 is not there for a WanNetwork" in error
    assert error.count("\n") == 1


def test_a_network_that_does_not_stream_refuses_it(folders, monkeypatch):
    network = load_model(asked_of(folders / "wan")).backbone
    monkeypatch.setattr(type(network), "streams", False)
    placement = Placement(CPU, torch.float32, offload="blocks")
    with pytest.raises(LuminaError, match="offload=blocks is not there for a WanNetwork"):
        placement.check_packaged(network)


def test_guidance_in_turn_gives_the_latent_of_both_at_once(folders):
    words = MADE["ltx"][1]
    config = asked_of(folders / "ltx", *words, "guidance.in_turn=true")
    wanted = latent_of(asked_of(folders / "ltx", *words))
    found = latent_of(config)
    assert (found - wanted).abs().max() < 1e-5
    sizes = []
    network = load_model(config).ready_backbone()
    hook = network.transformer.register_forward_pre_hook(
        lambda _, args, words: sizes.append(len(words["hidden_states"])), with_kwargs=True
    )
    latent_of(config)
    hook.remove()
    assert sizes == [1] * (2 * config.solver.num_steps)


def test_the_text_encoder_stays_where_it_is_told_to(folders, monkeypatch):
    config = asked_of(folders / "wan", *MADE["wan"][1], "text_encoder_device=cpu")
    model = load_model(config)
    assert model.placed.placement.text_device == CPU
    model.text_encoder.features_on = torch.device("meta")  # as a GPU would be
    features, _ = model.text_features([PROMPT])
    assert features.is_meta
    weights = list(model.text_encoder._weights().parameters())
    assert weights and all(weight.device == CPU for weight in weights)
