import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.sampling import file_request, generate, prompt_run, sample
from lumina_core.sampling import request as sampling_request
from lumina_core.sampling import settings as sampling_settings
from lumina_core.sampling.compose import compose_run
from lumina_core.sampling.file_request import decoders
from lumina_core.sampling.prompt_file import read_prompts
from lumina_core.sampling.settings import MAX_SAMPLES


@pytest.fixture
def config(ask):
    return compose_run(ask("prompt_file=x.txt", "seed=5", "negative_prompt=a star")[1:])


def test_a_text_file_holds_one_prompt_per_line(config, tmp_path):
    path = tmp_path / "a.txt"
    text = "\ufeffa red circle\r\n\r\n# a comment\n  a # star, e=mc2 \n雪\x0b\u2028x\n \t\nlast"
    path.write_bytes(text.encode())
    found = read_prompts(path, config)
    assert [line.number for line in found] == [1, 4, 5, 7]
    prompts = [line.config.prompt for line in found]
    assert prompts == ["a red circle", "  a # star, e=mc2 ", "雪\x0b\u2028x", "last"]
    assert {(line.config.seed, line.config.negative_prompt) for line in found} == {(5, "a star")}


def test_json_lines_may_change_size_seed_and_negative_prompt(config, tmp_path):
    path = tmp_path / "a.JSONL"
    lines = [
        {"prompt": "# a ring", "height": 48, "seed": 2**63 - 1},
        {"prompt": "two\nlines", "negative_prompt": "a cross"},
    ]
    path.write_text("\n\n".join(json.dumps(line) for line in lines) + "\n")
    first, second = read_prompts(path, config)
    assert (first.number, second.number) == (1, 3)
    assert (first.config.prompt, first.config.seed) == ("# a ring", 2**63 - 1)
    assert (first.config.options.height, first.config.options.width) == (48, 32)
    assert (second.config.options.height, second.config.seed) == (32, 5)
    assert (first.config.negative_prompt, second.config.negative_prompt) == ("a star", "a cross")
    assert second.config.prompt == "two\nlines"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "no valid JSON"),
        ("[" * 100_000, "no valid JSON"),
        ('{"prompt": "x", "seed": ' + "9" * 5000 + "}", "no valid JSON"),
        ('{"prompt": "x", "seed": 1, "seed": 2}', "a key stands there twice"),
        ('["x"]', "an object with a prompt is wanted"),
        ('{"seed": 1}', "an object with a prompt is wanted"),
        ("a red circle", "no valid JSON"),
        ('{"prompt": 5}', "prompt must be a text, got 5 (int)"),
        ('{"prompt": null}', "prompt must be a text"),
        ('{"prompt": " "}', "the prompt is empty"),
        ('{"prompt": "\\ud800"}', "half a character"),
        ('{"prompt": "x", "seed": "1"}', "seed must be a whole number"),
        ('{"prompt": "x", "seed": true}', "seed must be a whole number"),
        ('{"prompt": "x", "seed": NaN}', "seed must be a whole number"),
        ('{"prompt": "x", "seed": -1}', "seed is -1"),
        ('{"prompt": "x", "seed": 9223372036854775808}', "seed is 9223372036854775808"),
        ('{"prompt": "x", "height": "tall"}', "height must be a whole number"),
        ('{"prompt": "x", "height": 0}', "modality.height is 0;"),
        ('{"prompt": "x", "height": 33}', "modality.height=33 is not a multiple of 8 pixels"),
        ('{"prompt": "x", "heigth": 32}', "unknown key 'heigth'. Did you mean 'height'?"),
        ('{"prompt": "x", "modality.height": 32}', "Did you mean 'height'?"),
        ('{"prompt": "x", "patch_size": 2}', "'patch_size' belongs to the architecture"),
        ('{"prompt": "x", "num_samples": 2}', "unknown key 'num_samples'"),
    ],
)
def test_a_wrong_line_is_named_by_its_number(refused, work, monkeypatch, line, message):
    monkeypatch.setattr(generate, "sample_batch", None)  # nothing may be computed
    (work / "a.jsonl").write_text('{"prompt": "a star"}\n\n' + line + "\n")
    error = refused("prompt_file=a.jsonl")
    assert error.startswith("error: a.jsonl, line 3: ")
    assert message in error


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "holds no prompt"),
        ("a.txt", b"# only\n\n", "holds no prompt"),
        ("a.txt", b"x\n\xff\n", "a.txt, line 2: no valid UTF-8"),
        ("a.txt", "x\n".encode("utf-16"), "a.txt, line 1: no valid UTF-8"),
        ("a.json", b'["x"]', "one object per line ends in .jsonl"),
        ("nowhere.txt", None, "prompt_file=nowhere.txt is no file"),
        ("n" * 300, None, "cannot be read: File name too long"),
        (".", None, "is no file"),
    ],
)
def test_an_unusable_file_is_one_line(refused, work, name, content, message):
    if content is not None:
        (work / name).write_bytes(content)
    assert message in refused(f"prompt_file={name}")


def test_too_many_prompts_are_refused(config, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("x\n" * MAX_SAMPLES)
    assert len(read_prompts(path, config)) == MAX_SAMPLES
    path.write_text("x\n" * 1_000_000)
    with pytest.raises(LuminaError, match="asks for more than 10000 files"):
        read_prompts(path, config)


def test_prompt_and_prompt_file_exclude_each_other(refused, ask, make, work):
    (work / "a.txt").write_text("a star\n")
    file = make("x", "out=b.png")["files"][0]["path"]
    assert "prompt and prompt_file=a.txt both" in refused("prompt_file=a.txt", "x")
    assert "repeat and prompt_file=a.txt both" in refused("prompt_file=a.txt", f"repeat={file}")
    assert "name a folder" in refused("prompt_file=a.txt", "out=c.png")
    assert "which is a file" in refused("prompt_file=a.txt", "out=a.txt")


def test_files_are_named_by_line_and_seed(make, work):
    (work / "many.jsonl").write_text(
        '{"prompt": "a star"}\n\n{"prompt": "a ring", "seed": 7, "height": 48}\n'
    )
    files = make("prompt_file=many.jsonl", "num_samples=2", "seed=3")["files"]
    names = ["0001-s3.png", "0001-s4.png", "0003-s7.png", "0003-s8.png"]
    assert [file["path"] for file in files] == [f"outputs/many/{name}" for name in names]
    assert not any(file["skipped"] for file in files)
    assert sorted(path.name for path in (work / "outputs/many").iterdir()) == names
    assert Image.open(files[2]["path"]).size == (32, 48)
    alone = make("a ring", "seed=8", "modality.height=48", "out=alone.png")["files"][0]
    assert alone["sha256"] == files[3]["sha256"]


def test_a_second_run_makes_what_is_missing(make, work, monkeypatch, capsys, ask):
    (work / "a.txt").write_text("a star\na ring\na cross\n")
    words = ("prompt_file=a.txt", "guidance.interval=[0.1,0.9]", "out=made")
    first = make(*words)["files"]
    (work / "made/0002-s0.png").unlink()
    stamps = {path: path.stat().st_mtime_ns for path in (work / "made").iterdir()}
    second = make(*words)["files"]
    assert [file["skipped"] for file in second] == [True, False, True]
    for one, other in zip(first, second, strict=True):
        assert {**one, "skipped": other["skipped"]} == other
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    monkeypatch.setattr(generate, "sample_batch", None)  # nothing is left to do
    assert main(ask(*words)) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "skipped 3 of 3 files\n")


def test_what_another_run_made_meanwhile_is_kept(make, work, monkeypatch, capsys, ask):
    (work / "a.txt").write_text("a star\na ring\n")
    make("prompt_file=a.txt", "out=made")
    before = (work / "made/0002-s0.png").read_bytes()
    (work / "made/0002-s0.png").unlink()
    whole = generate.generate_batches

    def slowly(*arguments):
        for item in whole(*arguments):
            (work / "made/0002-s0.png").write_bytes(before)  # as another process may
            yield item

    monkeypatch.setattr(prompt_run, "generate_batches", slowly)
    capsys.readouterr()
    assert main(ask("prompt_file=a.txt", "out=made")) == 0
    assert "note: made/0002-s0.png was made by another run meanwhile" in capsys.readouterr().err
    assert (work / "made/0002-s0.png").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "difference"),
    [
        (["guidance.scale=4"], "another guidance"),
        (["modality.height=48"], "another options"),
        (["negative_prompt=x", "solver.num_steps=1"], "another negative_prompt, solver"),
    ],
)
def test_a_file_of_another_request_is_never_kept_silently(make, refused, work, words, difference):
    (work / "a.txt").write_text("a star\na ring\n")
    before = make("prompt_file=a.txt")["files"]
    error = refused("prompt_file=a.txt", *words)
    assert f"outputs/a/0001-s0.png was made with {difference} (and 1 others like it)" in error
    assert "use overwrite=true" in error
    after = make("prompt_file=a.txt", *words, "overwrite=true")["files"]
    assert [file["path"] for file in after] == [file["path"] for file in before]
    assert all(file["sha256"] != old["sha256"] for file, old in zip(after, before, strict=True))


def test_a_foreign_or_broken_file_is_refused_and_an_older_version_is_not(make, refused, work):
    (work / "a.txt").write_text("a star\n")
    path = Path(make("prompt_file=a.txt")["files"][0]["path"])
    whole = path.read_bytes()
    request = file_request.read_request(path)
    decoder = decoders()["image"]
    media = decoder.read(path)
    decoder.write(media, path, request | {"versions": {"torch": "0.1"}}, None)
    assert make("prompt_file=a.txt")["files"][0]["skipped"]
    for content in (b"mine", whole[:-400], b""):
        path.write_bytes(content)
        assert "exists already and carries no request" in refused("prompt_file=a.txt")
    Image.new("RGB", (8, 8)).save(path)
    assert "exists already and carries no request" in refused("prompt_file=a.txt")
    make("prompt_file=a.txt", "overwrite=true")
    assert path.read_bytes() == whole


def test_an_interrupt_leaves_finished_files_whole(ask, make, work, monkeypatch):
    (work / "a.txt").write_text("a star\na ring\na cross\n")
    calls = []

    def interrupted(*words, **more):
        calls.append(None)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return sample.sample_batch(*words, **more)

    with monkeypatch.context() as patch:
        patch.setattr(generate, "sample_batch", interrupted)
        assert main(ask("prompt_file=a.txt")) == 130
    left = sorted(path.name for path in (work / "outputs/a").iterdir())
    assert left == ["0001-s0.png", "0002-s0.png"]
    files = make("prompt_file=a.txt")["files"]
    assert [file["skipped"] for file in files] == [True, True, False]


def test_notes_name_what_is_strange_and_long_lines_once(ask, work, capfd):
    long = "a red circle " * 200
    (work / "a.txt").write_text(f"a tesseract\na star\n{long}\na tesseract\n{long}\n")
    assert main(ask("prompt_file=a.txt", "negative_prompt=a cube")) == 0
    first, second, third, fourth = capfd.readouterr().err.splitlines()
    assert first == (
        "note: a.txt, line 1: the checkpoint never saw anything like 'a tesseract' "
        "(new to it: 'tesseract'); the nearest that it knows: 'a circle'"
    )
    assert second.startswith("note: a.txt, line 3: the checkpoint never saw anything like 'a red")
    assert third == "note: a.txt, line 1: the checkpoint has never seen 'cube'"
    assert fourth.startswith("note: a.txt: 1 texts (the first in line 3) are longer than")


def test_a_note_about_words_of_several_lines_says_so(ask, work, capfd):
    texts = ("a cube", "a tesseract")
    lines = [{"prompt": "a star", "negative_prompt": each} for each in texts]
    (work / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert main(ask("prompt_file=a.jsonl")) == 0
    said = "a.jsonl, line 1 and others: the checkpoint has never seen 'cube', 'tesseract'"
    assert capfd.readouterr().err.splitlines() == [f"note: {said}"]


def test_batches_are_filled_up_to_the_budget(tiny_model, config, tmp_path):
    from dataclasses import replace

    path = tmp_path / "a.jsonl"
    sizes = [32, 64, 32, 48, 128, 32]
    path.write_text("\n".join(json.dumps({"prompt": "x", "height": side}) for side in sizes))
    requests = [generate.requests_of(line.config, None)[0] for line in read_prompts(path, config)]
    lengths = [
        tiny_model.modality.tokenizer.grid(
            sampling_request.latent_shape(tiny_model, request.options)
        ).num_positions(tiny_model.backbone.config.separators)
        for request in requests
    ]
    on_gpu = replace(tiny_model, backbone=_Pretending(tiny_model.backbone), placed=None)
    budget = sum(lengths[:3])
    settings = replace(sampling_settings.sampling_of(config), token_budget=budget)
    settings = replace(settings, guidance=replace(settings.guidance, scale=1.0))
    found = [len(batch) for batch in sample.batches(on_gpu, requests, settings)]
    guided = replace(
        settings, guidance=replace(settings.guidance, scale=2.0), token_budget=2 * budget
    )
    assert found == [len(batch) for batch in sample.batches(on_gpu, requests, guided)]
    assert found[0] == 3
    assert sum(found) == len(sizes)
    ends = [sum(found[: number + 1]) for number in range(len(found))]
    for start, end in zip([0, *ends], ends, strict=False):
        is_single = end - start == 1
        assert is_single or sum(lengths[start:end]) <= budget
        assert end == len(sizes) or sum(lengths[start : end + 1]) > budget  # no room was left


class _Pretending:
    """A backbone that says it is on a GPU."""

    def __init__(self, backbone):
        self.config, self.separators = backbone.config, backbone.separators

    def parameters(self):
        yield torch.empty(0, device="meta")


def test_what_is_given_beside_the_prompt_serves_every_line(make, refused, work):
    (work / "a.jsonl").write_text(
        '{"prompt": "a star"}\n{"prompt": "a ring", "height": 24}\n{"prompt": "a cross"}\n'
    )
    for name, grey in (("given.png", 90), ("other.png", 200)):
        Image.new("RGB", (32, 32), (grey, grey, grey)).save(work / name)
    words = ("condition.image=given.png", "condition.strength=0.5")
    error = refused("prompt_file=a.jsonl", *words)
    assert error.startswith("error: a.jsonl, line 2: ")  # the picture is larger than that line
    (work / "a.jsonl").write_text('{"prompt": "a star"}\n{"prompt": "a cross"}\n')
    files = make("prompt_file=a.jsonl", *words)["files"]
    alone = make("a cross", *words, "out=alone.png")["files"][0]
    assert files[1]["sha256"] == alone["sha256"]
    assert all(file["skipped"] for file in make("prompt_file=a.jsonl", *words)["files"])
    error = refused("prompt_file=a.jsonl", "condition.image=other.png", words[1])
    assert "another condition" in error
