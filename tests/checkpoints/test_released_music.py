"""The released audio model as its authors store it: a file of Lightning, autoencoder inside."""

import shutil

import pytest
import torch
from released import randomise

import lumina_core
from lumina_audio.convert_mel_vae import convert_mel_vae
from lumina_audio.mel_vae import MelVAE, MelVAEShape
from lumina_core.backbone.families.layouts import config_of, pieces
from lumina_core.backbone.families.registry import FAMILIES
from lumina_core.backbone.transformer import Backbone
from lumina_core.checkpoints.formats import source_of
from lumina_core.cli.main import main
from lumina_core.sampling.file_request import read_request

CHANNELS, NUM_MELS, TEXT_DIM = 20, 80, 32
FAMILY = FAMILIES["flag_dit_audio"]
SIZES = {
    "channels": CHANNELS, "patch_size": 1, "hidden_size": 32, "depth": 2, "num_heads": 4,
    "num_kv_heads": 4, "text_dim": TEXT_DIM, "conditioning_size": 32, "ffn_size": 48,
}  # fmt: skip
VAE_SHAPE = MelVAEShape(NUM_MELS, CHANNELS, CHANNELS, 32, (1, 2), 1, 5, (0,))
SCALE = 0.25


@pytest.fixture(scope="module")
def network():
    return randomise(Backbone(config_of({**FAMILY.switches, **SIZES}, "audio")), std=0.2)


@pytest.fixture(scope="module")
def lightning(network, tmp_path_factory):
    """A file without a suffix, as the release has it."""
    own = network.state_dict()
    layout = FAMILY.layouts["released"]
    state = {
        f"model.diffusion_model.{piece.stored}": piece.back(own[piece.name])
        for piece in pieces(network.config, layout, CHANNELS)
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = MelVAE(VAE_SHAPE).state_dict()
    state |= {f"first_stage_model.{name}": value for name, value in vae.items()}
    state |= {"scale_factor": torch.tensor(SCALE), "betas": torch.linspace(0, 1, 5)}
    state["cond_stage_model.transformer.shared.weight"] = torch.ones(3, 2)
    path = tmp_path_factory.mktemp("music") / "music_generation"
    torch.save({"epoch": 3, "global_step": 7, "state_dict": state}, path)
    return path


@pytest.fixture(scope="module")
def vae(lightning, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vae") / "vae"
    assert convert_mel_vae(lightning, folder) == SCALE
    return folder


def words(lightning, vae, encoder_folders, *more):
    parts = [f"modality.vae={vae}", f"text_encoder={encoder_folders['t5']}"]
    short = ["modality.seconds=0.5", "solver.num_steps=2", "device=cpu"]
    return ["infer", f"checkpoint={lightning}", "slow piano", *parts, *short, *more]


def test_the_file_is_known_by_its_content(lightning):
    source = source_of(lightning)
    assert (source.manifest["family"], source.layout) == ("flag_dit_audio", "released")
    assert source.manifest["modalities"]["audio"]["token_dim"] == CHANNELS
    assert source.manifest["text_encoder"]["padded"] is True


def test_it_makes_a_sound(lightning, vae, encoder_folders, tmp_path):
    sound = tmp_path / "x.wav"
    assert main([*words(lightning, vae, encoder_folders), f"out={sound}"]) == 0
    request = read_request(sound)
    assert (request["modality"], request["guidance"]["scale"]) == ("audio", 5.0)


def test_its_velocity_is_that_of_the_network(lightning, vae, encoder_folders, network):
    options = {"text_encoder": str(encoder_folders["t5"]), "vae": str(vae)}
    short = {"modality.seconds": 0.5, "guidance.scale": 1.0}
    model = lumina_core.load(lightning, **options, **short)
    velocity = model.velocity("slow piano")
    found = velocity(0.25, velocity.x_0)
    assert found.std() > 0.1
    batch = velocity.batch
    features, lengths = model.checkpoint.text_features(["slow piano"])
    assert lengths == (77,)  # pads are text
    with torch.no_grad():
        context = network.prepare(batch, features, lengths)
        expected = network(batch, torch.tensor([0.25]), context)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_another_autoencoder_is_one_line(lightning, encoder_folders, refusal, tmp_path):
    parts = [f"text_encoder={encoder_folders['t5']}", "modality.seconds=0.5", "device=cpu"]
    out = f"out={tmp_path / 'x.wav'}"
    error = refusal("infer", f"checkpoint={lightning}", "slow piano", *parts, out)
    assert "tokens of 20 elements" in error and "modality.vae=FOLDER" in error
    assert not list(tmp_path.iterdir())


def test_a_cut_file_is_one_line(lightning, vae, encoder_folders, refusal, tmp_path):
    cut = tmp_path / "music_generation"
    shutil.copyfile(lightning, cut)
    cut.write_bytes(cut.read_bytes()[:-2000])
    assert "copy it again" in refusal(*words(cut, vae, encoder_folders))
