"""Packages without a modality: what they add to those of others, and that they harm nobody."""

import json

import pytest
import torch

from lumina_core import FramewiseAutoencoder, FramewiseVAE, LuminaError
from lumina_core.autoencoder import networks
from lumina_core.checkpoints.vae_folder import find_vae
from lumina_core.cli.main import main
from lumina_core.plugins import demos, host
from toy_plugin import PLUGIN

HOOK = """
from lumina_core import hookimpl

@hookimpl
def lumina_autoencoders():
    return {value}
"""
HALVING = HOOK.format(
    value='{"pictures": {"HalvingAutoencoder": "lumina_halving.halving:Halving"}}'
)
HALVING_CLASS = """
from einops import rearrange
from lumina_core.autoencoder.networks import Autoencoder

class Halving(Autoencoder):
    kind, needed, defaults, stride = "HalvingAutoencoder", frozenset({"latent_channels"}), {}, 1

    def faults(self, config):
        return iter(())

    def encode(self, pixels):
        return rearrange(pixels, "f c h w -> c f h w") / 2

    def decode(self, latent):
        return rearrange(latent, "c f h w -> f c h w") * 2
"""
HOSTILE = {
    "import_error": ("import a_package_that_is_missing", "ModuleNotFoundError"),
    "exit": ("import sys; sys.exit(3)", "sys.exit(3)"),
    "raises": (HOOK.replace("return {value}", "raise ValueError('x')"), "ValueError: x"),
    "list": (HOOK.format(value="['AutoencoderKL']"), "returned ['AutoencoderKL'], not {medium: "),
    "flat": (HOOK.format(value="{'AutoencoderKL': 'a:B'}"), "not {medium: {class name: 'module"),
    "path": (HOOK.format(value="{'pictures': {'A': 'no path'}}"), "not {medium: {class name: 'mo"),
    "argument": (HOOK.replace("()", "(nope)", 1).replace("{value}", "{}"), "nope"),
    "misspelt": (HOOK.replace("encoders", "coders"), "Did you mean 'lumina_autoencoders'?"),
    "missing": (HOOK.format(value="{'pictures': {'A': 'nowhere:B'}}"), "cannot load nowhere:B"),
    "base": (HOOK.format(value="{'pictures': {'A': 'pathlib:Path'}}"), "does not inherit Autoenc"),
}


NETWORKS = HOOK.replace("autoencoders", "networks")
HOSTILE |= {
    "network_list": (NETWORKS.format(value="['A']"), "returned ['A'], not {class name"),
    "network_path": (NETWORKS.format(value="{'A': 'no path'}"), "not {class name: 'module:class'}"),
    "network_lost": (NETWORKS.format(value="{'A': 'nowhere:B'}"), "cannot load nowhere:B"),
    "network_base": (NETWORKS.format(value="{'A': 'pathlib:Path'}"), "is no PackagedNetwork"),
}


@pytest.fixture
def halving(write_extension):
    """An installed extension that brings an autoencoder of pictures."""
    return write_extension("halving", HALVING, {"halving.py": HALVING_CLASS})


@pytest.fixture
def folder(tmp_path):
    """The folder of its autoencoder."""
    found = tmp_path / "vae"
    found.mkdir()
    config = {"_class_name": "HalvingAutoencoder", "latent_channels": 3}
    (found / "config.json").write_text(json.dumps(config))
    return found


@pytest.fixture
def check(write_distribution, capsys):
    """What `plugins --check --json` says, by name, of what is installed."""

    def records():
        code = main(["plugins", "--check", "--json"])
        found = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
        assert code == any(each["error"] for each in found.values())
        return found

    return records


def test_an_extension_is_listed_below_the_modalities_without_an_import(
    toy, write_extension, capsys
):
    write_extension("more", "raise RuntimeError('imported')")
    assert main(["plugins"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].startswith("toy ")
    assert rows[1:3] == ["", "extensions:"]
    assert rows[3].split(maxsplit=4) == ["more", "lumina-more", "0.1", "found", "Adds more"]
    assert main(["plugins", "--json"]) == 0
    kinds = {each["name"]: each["kind"] for each in json.loads(capsys.readouterr().out)}
    assert kinds == {"toy": "modality", "more": "extension"}


def test_an_extension_is_no_modality(toy, write_extension, refusal):
    write_extension("more")
    assert host.installed() == ["toy"]
    line = refusal("run", "+modality=more", "x")
    assert line == "error: Extension 'more' (lumina-more 0.1) is no modality (installed: toy).\n"


def test_an_extension_brings_an_autoencoder_to_a_medium_that_it_does_not_own(halving, folder):
    frames = torch.randint(0, 256, (2, 3, 4, 6), dtype=torch.uint8)
    vae = FramewiseVAE(folder)
    assert vae.latent_shape(tuple(frames.shape)) == (3, 2, 4, 6)
    assert torch.equal(vae.decode(vae.encode(frames)), frames)


def test_a_kind_that_nobody_brings_is_refused_with_those_that_are_there(halving, folder):
    config = {"_class_name": "HalvingAutoencodr", "latent_channels": 3}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(LuminaError) as raised:
        _ = FramewiseVAE(folder).autoencoder
    assert str(raised.value) == (
        f"the autoencoder in {folder} is of kind 'HalvingAutoencodr'; pictures take AutoencoderKL, "
        "HalvingAutoencoder; give modality.vae=FOLDER of one of these. Did you mean "
        "'HalvingAutoencoder'?"
    )


@pytest.mark.parametrize("switch", ["LUMINA_BLOCK=halving", "LUMINA_BLOCK=lumina-halving",
                                    "LUMINA_ONLY=toy"])  # fmt: skip
def test_a_switch_keeps_an_extension_away_before_and_after_its_import(
    halving, folder, toy, monkeypatch, switch
):
    assert FramewiseVAE(folder).autoencoder.stride == 1
    monkeypatch.setenv(*switch.split("="))
    for _ in range(2):
        with pytest.raises(LuminaError, match="pictures take AutoencoderKL; give"):
            _ = FramewiseVAE(folder).autoencoder
        (extension,) = host.extensions()
        assert extension.status == "blocked"
        host.load("toy")
        host.forget()
    monkeypatch.delenv(switch.partition("=")[0])
    assert FramewiseVAE(folder).autoencoder.stride == 1


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_extension_is_broken_with_its_reason_and_the_others_go_on(
    toy, halving, folder, write_extension, check, kind
):
    source, reason = HOSTILE[kind]
    write_extension("bad", source)
    assert FramewiseVAE(folder).autoencoder.stride == 1
    found = check()
    assert reason in found["bad"]["error"]
    assert "\n" not in found["bad"]["error"]
    assert [found[name]["status"] for name in ("toy", "halving")] == ["loaded", "loaded"]


def test_strict_lets_the_exception_of_an_extension_through(write_extension, folder, monkeypatch):
    write_extension("bad", HOSTILE["import_error"][0])
    monkeypatch.setenv("LUMINA_STRICT", "1")
    with pytest.raises(ModuleNotFoundError):
        _ = FramewiseVAE(folder).autoencoder


def test_no_extension_takes_the_place_of_a_kind_that_is_there(
    write_distribution, write_extension, folder
):
    thief = '{"pictures": {"AutoencoderKL": "nowhere:A"}, "toys": {"Toy": "nowhere:A"}}'
    write_extension("thief", HOOK.format(value=thief))
    own = HOOK.format(value='{"toys": {"Toy": "lumina_toy.toy:Toy"}}')
    write_distribution("lumina-toy", "toy", PLUGIN.format(package="lumina_toy", api="(3, 0)") + own)
    (folder / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    assert isinstance(FramewiseVAE(folder).autoencoder, FramewiseAutoencoder)
    assert host.autoencoders("toys", "toy")["Toy"][1] == "lumina_toy.toy:Toy"
    assert host.autoencoders("toys", None)["Toy"][1] == "nowhere:A"


def test_a_wrapper_and_a_module_that_answers_anything_reach_no_other_plugin(
    write_extension, toy, halving, folder
):
    wrapper = HOOK.replace("@hookimpl", "@hookimpl(wrapper=True)").replace(
        "return {value}", "yield\n    return [{{}}]\n\ndef __getattr__(name):\n    raise ValueError"
    )
    write_extension("a_wrapper", wrapper.replace("{{}}", "{}"))
    assert FramewiseVAE(folder).autoencoder.stride == 1
    assert host.load("toy").modality.endswith(":Toy")


def test_one_module_may_stand_for_a_modality_and_an_extension(toy, write_extension, check):
    folder = write_extension("more")
    info = folder.parent / "lumina_more-0.1.dist-info" / "entry_points.txt"
    info.write_text(info.read_text().replace("= lumina_more", "= lumina_toy.plugin"))
    host.forget()
    assert {name: each["status"] for name, each in check().items()} == dict.fromkeys(
        ("toy", "more"), "loaded"
    )


def test_an_extension_of_yaml_alone_names_an_autoencoder(toy, write_extension, check, tmp_path):
    facts = {"conf/vae/toy/ours.yaml": "hub_id: someone/ours\nlatent_channels: 3\n"}
    write_extension("names", files=facts)
    assert host.vae_files("toy").keys() == {"ours"}
    with pytest.raises(LuminaError, match=r"someone/ours.*Known by name: demo, ours"):
        find_vae("toy", "ours", download=False)
    assert check()["names"]["status"] == "loaded"
    assert host.vae_files("toy")["ours"].parent.parent.parent.parent.name == "lumina_names"


def test_yaml_that_describes_no_autoencoder_is_found_by_a_check(toy, write_extension, check):
    write_extension("names", files={"conf/vae/toy/ours.yaml": "latent_channels: 3\n"})
    assert "names no hub_id" in check()["names"]["error"]


def test_a_demo_of_an_extension_stands_in_where_a_modality_has_none(toy, write_extension):
    demo = write_extension("demos", files={"demo/toy/lumina.json": "{}"}) / "demo" / "toy"
    assert demos.demo_folder("toy") == demo
    (toy / "demo").mkdir()
    assert demos.demo_folder("toy") == toy / "demo"


def test_a_demo_in_one_folder_is_of_the_modalities_that_its_manifest_names(
    write_distribution, write_extension
):
    for name in ("toy", "vae", "other"):
        write_distribution(f"lumina-{name}", name)
    shared = {"demo/lumina.json": '{"modalities": {"toy": {}, "vae": {}}}', "demo/vae/x": ""}
    demo = write_extension("a_shared", files=shared) / "demo"
    assert {name: demos.demo_folder(name) for name in host.installed()} == {
        "toy": demo,
        "vae": demo,
        "other": None,
    }
    alone = write_extension("single", files={"demo/toy/lumina.json": "{}"}) / "demo" / "toy"
    assert demos.demo_folder("toy") == alone
    (demo / "lumina.json").write_text("[")
    assert demos.demo_folder("other") == demo  # whoever opens it says what is wrong


def test_doctor_tells_what_an_extension_brings_and_what_nothing_reads(toy, write_extension, capsys):
    files = {"halving.py": HALVING_CLASS, "conf/vae/toy/ours.yaml": "hub_id: someone/ours\n"}
    write_extension("halving", HALVING, files | {"conf/idle.yaml": ""})
    assert main(["doctor", "halving"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Extension 'halving' (lumina-halving 0.1) is loaded. Adds halving",
        "  entry point: lumina_halving",
        "  autoencoders of pictures: HalvingAutoencoder",
        "  note: nothing reads conf/idle.yaml",
    ]


def test_doctor_trace_tells_each_call_of_a_hook(halving, toy, capsys, refusal):
    assert main(["doctor", "halving", "--trace"]) == 0
    (line,) = [each for each in capsys.readouterr().out.splitlines() if "() of " in each]
    assert line.startswith("lumina_autoencoders() of extension halving (lumina-halving, lumina_hal")
    assert "'HalvingAutoencoder': 'lumina_halving.halving:Halving'" in line
    assert line.endswith(" ms")
    assert "needs a name" in refusal("doctor", "--trace")


def test_an_autoencoder_class_is_one_of_the_core(halving):
    (extension,) = host.extensions()
    with pytest.raises(LuminaError, match="pathlib:Path does not inherit Autoencoder"):
        networks.autoencoder_class(extension, "pathlib:Path")
