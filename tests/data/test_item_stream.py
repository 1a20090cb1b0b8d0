import json
import multiprocessing
import os
import shutil
import signal
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
import torch
from streams import build_stream, make_index, train_words, write_shards
from tars import picture, record, write_tar

from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.data import indexed_stream
from lumina_core.data.file_pool import QUARANTINE
from lumina_core.data.mixture import Mixture
from lumina_core.runtime import seeded

NUM = 16


@pytest.fixture
def shards(tmp_path):
    return write_shards(tmp_path / "set")


@pytest.fixture
def build(tiny_vae, tiny_model, tmp_path):
    """Build the stream of shards that are indexed first, unless they were."""
    built = []

    def build_(path, *words, is_indexed=False):
        if not is_indexed:
            make_index(tiny_vae, path)
        words = train_words(tiny_vae, path, tmp_path / "out", *words)
        built.append(build_stream(tiny_model.modality, words))
        built[-1].advance(0)
        return built[-1]

    yield build_
    for stream in built:
        stream.close()


def captions_at(stream, places):
    stream.expect(places)
    return [stream.get(place).caption for place in places]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_stream_gives_every_item_once_in_each_epoch(build, shards, num_workers):
    stream = build(shards, f"data.num_workers={num_workers}")
    numbers = list(islice(stream.numbers(7, 0), 3 * NUM))
    assert numbers == list(range(3 * NUM))
    found = captions_at(stream, numbers)
    epochs = [found[first : first + NUM] for first in (0, NUM, 2 * NUM)]
    assert [sorted(epoch) for epoch in epochs] == [sorted(f"picture {n}" for n in range(NUM))] * 3
    assert epochs[0] != epochs[1] != epochs[2]
    assert list(islice(stream.numbers(0, 5), 2)) == [5, 6]


def test_processes_change_nothing(build, shards):
    alone = build(shards)
    helped = build(shards, "data.num_workers=3", is_indexed=True)
    helped.expect(range(20))
    for place in range(20):
        one, other = alone.get(place), helped.get(place)
        assert one.caption == other.caption
        assert torch.equal(one.tokens.tokens, other.tokens.tokens)
        grid = one.tokens.grid
        assert other.tokens.grid == grid
        assert alone.num_positions(place) == grid.num_positions(True)


def given(build, shards, place, num_ranks, num_steps, first):
    """Items that some ranks train on in some steps, cut by lengths, and where they end."""
    streams = [build(shards, is_indexed=True) for _ in range(num_ranks)]
    mixtures = [Mixture({"image": stream}, {"image": 1.0}, 70, 2) for stream in streams]
    items = []
    for mixture in mixtures:
        mixture.restore({"mixture": json.loads(json.dumps(place))})
    for step in range(first, first + num_steps):
        picked = [mixture.pick(step) for mixture in mixtures]
        assert all(each == picked[0] for each in picked)  # every rank cuts the same batches
        for rank, mixture in enumerate(mixtures):
            mixture.place = picked[rank].after
            for batch in picked[rank].batches:
                for pick in batch[rank::num_ranks]:
                    items.append(streams[rank].get(pick.number).caption)
    return items, mixtures[0].place.stored()


def test_a_change_of_ranks_repeats_and_skips_nothing(build, tmp_path):
    folder = tmp_path / "set"
    for shard in range(4):
        sizes = [((8 * (2 + n % 3)), 8 * (2 + n % 2)) for n in range(24)]
        members = [
            member
            for n, size in enumerate(sizes)
            for member in (
                (f"{n}.png", picture(n, size)),
                (f"{n}.txt", f"{shard} {n}".encode()),
            )
        ]
        write_tar(folder / f"{shard}.tar", members)
    build(folder)
    items, place = [], {"given": {"image": 0}, "tokens": {"image": 0}, "carried": None}
    step = 0
    for num_ranks, num_steps in ((1, 4), (2, 9), (1, 12)):
        more, place = given(build, folder, place, num_ranks, num_steps, step)
        items += more
        step += num_steps
    alone, place_alone = given(
        build, folder, {"given": {"image": 0}, "tokens": {"image": 0}, "carried": None}, 1, 25, 0
    )
    assert Counter(items) == Counter(alone)
    assert place == place_alone
    num_epochs, rest = divmod(len(items), 96)
    assert num_epochs >= 1
    counts = Counter(items)
    assert len(counts) == 96
    # each item once per whole epoch, and those of the epoch that is begun once more
    assert set(counts.values()) <= {num_epochs, num_epochs + 1}
    assert sum(count > num_epochs for count in counts.values()) == rest


def test_captions_of_an_item_come_in_turn(build, tmp_path):
    members = [("a.png", picture(1)), ("a.json", record(captions=["one", "two", "three"]))]
    write_tar(tmp_path / "set" / "0.tar", members)
    stream = build(tmp_path / "set")
    assert captions_at(stream, range(5)) == ["one", "two", "three", "one", "two"]


def test_what_breaks_after_the_index_is_named_and_left_out(build, shards, tmp_path):
    stream = build(shards, "data.max_quarantined=0.2")
    content = bytearray((shards / "1.tar").read_bytes())
    content[512 + 40] ^= 1  # in the first picture of the shard
    with (shards / "1.tar").open("r+b") as file:
        file.write(content)
    found = [stream.get(place) for place in range(2 * NUM)]
    assert [sample is None for sample in found].count(True) == 2
    lines = (tmp_path / "out" / QUARANTINE).read_text().splitlines()
    reason = "its content is not that of the index; make the index again"
    assert [json.loads(line) for line in lines] == [{"path": "1.tar/00005.png", "reason": reason}]
    assert stream.summary()["num_quarantined"] == 1


def test_a_sample_of_another_length_than_the_index_says_is_left_out(
    build, shards, tmp_path, monkeypatch
):
    stream = build(shards, "data.max_quarantined=0.2")
    measured = stream._index.num_positions
    wrong = stream._order.at(3).item
    monkeypatch.setattr(
        stream._index, "num_positions", lambda item, own: measured(item, own) + (item == wrong)
    )
    assert [place for place in range(NUM) if stream.get(place) is None] == [3]
    (line,) = (tmp_path / "out" / QUARANTINE).read_text().splitlines()
    reason = json.loads(line)["reason"]
    assert reason == "it has 15 positions, not as many as the index says; make the index again"


def test_too_much_broken_is_one_line(build, shards):
    stream = build(shards, "data.max_quarantined=0.1")
    for path in shards.iterdir():
        path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(LuminaError, match=r"of the items of data.path=.* cannot be used") as raised:
        for place in range(NUM):
            stream.get(place)
    assert "\n" not in str(raised.value)


def test_a_killed_worker_changes_nothing(build, shards, capsys):
    stream = build(shards, "data.num_workers=2")
    whole = captions_at(build(shards, is_indexed=True), range(2 * NUM))
    stream.expect(range(2 * NUM))
    found = []
    for place in range(2 * NUM):
        if place % 7 == 3:
            for worker in multiprocessing.active_children()[:1]:
                os.kill(worker.pid, signal.SIGKILL)
        found.append(stream.get(place).caption)
    assert found == whole
    assert "is replaced" in capsys.readouterr().err


def test_media_set_aside_are_never_trained_on(build, shards):
    words = ("validate_every=5", "num_validation_samples=3")
    stream = build(shards, *words)
    held = {stream.held_out(number).caption for number in range(3)}
    assert stream.held_out(3) is None
    trained = captions_at(stream, range(NUM - 3))
    assert sorted([*trained, *held]) == sorted(f"picture {n}" for n in range(NUM))
    assert not held & set(stream.vocabulary_captions(seeded(0)))
    assert (stream.summary()["num_items"], stream.summary()["num_held"]) == (NUM - 3, 3)
    with pytest.raises(LuminaError, match="num_validation_samples=16 are set aside"):
        build(shards, "validate_every=5", "num_validation_samples=16", is_indexed=True)


def test_an_item_longer_than_a_batch_is_left_out(build, shards, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lumina_core.training.pool.longest_fitted", lambda *_: 0)
    write_tar(shards / "3.tar", [("x.png", picture(3, (16, 16))), ("x.txt", b"short")])
    stream = build(shards, "token_budget=14")
    lengths = [stream.num_positions(place) for place in range(NUM + 1)]
    assert sorted(length or 0 for length in lengths) == [0] * NUM + [6]
    assert "warning: 16 of 17 items have more positions than token_budget=14" in (
        capsys.readouterr().err
    )


def test_a_large_vocabulary_is_that_of_a_part(build, shards, monkeypatch, capsys):
    stream = build(shards)
    assert len(set(stream.vocabulary_captions(seeded(0)))) == NUM
    monkeypatch.setattr(indexed_stream, "VOCABULARY_ITEMS", 6)
    assert len(set(stream.vocabulary_captions(seeded(0)))) == 6
    assert "in the captions of 6 of 16 items" in capsys.readouterr().err
    found = stream.captions(5, seeded(0))
    assert len(set(found)) == 5
    assert len(stream.captions(100, seeded(0))) == NUM


def test_a_closed_stream_leaves_nothing_behind(build, shards):
    stream = build(shards, "data.num_workers=2")
    stream.expect(range(10))
    stream.get(0)
    scratch = Path(stream._scratch)
    assert scratch.is_dir()
    stream.close()
    assert not scratch.exists()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "0.tar").unlink(), "0.tar is gone"),
        (lambda folder: write_tar(folder / "9.tar", []), "9.tar is new"),
        (lambda folder: write_shards(folder, (5, 7, 9)), "2.tar has changed"),
        (lambda folder: write_tar(folder / "2.tar", _other(12, 16)), "2.tar has changed"),
    ],
)
def test_an_index_of_other_data_is_refused(build, shards, change, message):
    build(shards)
    change(shards)
    with pytest.raises(LuminaError, match=message) as raised:
        build(shards, is_indexed=True)
    assert "make it again: " in str(raised.value)
    assert "data.min_tokens=4 data.max_tokens=16" in str(raised.value)
    assert "\n" not in str(raised.value)


def _other(first, end):
    for number in range(first, end):
        yield f"{number:05}.png", picture(number + 40)
        yield f"{number:05}.txt", f"picture {number}".encode()


def test_copied_shards_keep_their_index(build, shards):
    build(shards)
    for path in shards.iterdir():
        os.utime(path, (1, 1))
    assert len(captions_at(build(shards, is_indexed=True), range(NUM))) == NUM


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("data.max_tokens=12", r"made with data.max_tokens=16, this run has data.max_tokens=12"),
        ("data.index=/nowhere/x", "there is no /nowhere/x; make it: .*index .modality=image"),
        ("data.path=/nowhere", "needs an index, and there is no /nowhere.lumina-index.image"),
        ("data.path=null", "data=shards needs to know where"),
    ],
)
def test_an_index_of_other_options_is_refused(build, shards, word, message):
    build(shards)
    with pytest.raises(LuminaError, match=message) as raised:
        build(shards, word, is_indexed=True)
    assert "\n" not in str(raised.value)


def test_an_index_of_another_architecture_is_refused(tiny_vae, shards, tmp_path, capsys):
    make_index(tiny_vae, shards)
    capsys.readouterr()
    words = train_words(tiny_vae, shards, tmp_path / "out", "modality.patch_size=1")
    assert main(["train", *words]) == 2
    err = capsys.readouterr().err
    assert "with modality.patch_size=2, this run has modality.patch_size=1" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("word", ["data.pool_size=4", "data.refresh_per_step=1"])
def test_a_stream_has_no_pool(tiny_vae, shards, tmp_path, capsys, word):
    words = train_words(tiny_vae, shards, tmp_path / "out", word)
    assert main(["train", *words]) == 2
    assert "has no effect with data.name=shards" in capsys.readouterr().err


@pytest.mark.parametrize("word", ["data.index=x", "data.shuffle_window=5"])
def test_a_pool_has_no_order(tiny_training, tmp_path, capsys, word):
    words = tiny_training(tmp_path / "out", "data=folder", f"data.path={tmp_path}", word)
    assert main(["train", *words]) == 2
    assert "has no effect on a pool; add data.stream=true" in capsys.readouterr().err


def test_a_folder_and_a_manifest_can_be_streamed(build, tiny_vae, tiny_model, tmp_path):
    folder = tmp_path / "pictures"
    for number in range(6):
        path = folder / "sub" / "deep" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
        path.with_suffix(".txt").write_text(f"picture {number}")
    lines = [record(path=f"pictures/sub/deep/{n}.png", text=f"picture {n}") for n in range(6)]
    (tmp_path / "set.jsonl").write_bytes(b"\n".join(lines))
    for kind, path in (("folder", folder), ("manifest", tmp_path / "set.jsonl")):
        make_index(tiny_vae, path, kind=kind)
        words = train_words(tiny_vae, path, tmp_path / "out", f"data={kind}", "data.stream=true")
        stream = build_stream(tiny_model.modality, words)
        stream.advance(0)
        assert sorted(captions_at(stream, range(6))) == [f"picture {n}" for n in range(6)]
        stream.close()
    (folder / "sub" / "new").mkdir()
    words = train_words(tiny_vae, folder, tmp_path / "out", "data=folder", "data.stream=true")
    with pytest.raises(LuminaError, match="sub has changed"):
        build_stream(tiny_model.modality, words)


def test_training_from_shards_resumes_to_the_bit(tiny_vae, shards, tmp_path, capsys):
    make_index(tiny_vae, shards)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    words = {out: train_words(tiny_vae, shards, out, "log_every=1") for out in (whole, parts)}
    assert main(["train", *words[whole], "max_steps=6"]) == 0
    assert main(["train", *words[parts], "max_steps=6", "save_every=3"]) == 0
    last = parts / "checkpoints" / "step-0000006"
    weights = (last / "backbone.safetensors").read_bytes()
    shutil.rmtree(last)
    assert main(["train", "resume=true", f"out={parts}"]) == 0
    again = (last / "backbone.safetensors").read_bytes()
    expected = whole / "checkpoints" / "step-0000006" / "backbone.safetensors"
    assert again == weights == expected.read_bytes()
    write_shards(shards, (5, 7, 4, 2))
    assert main(["train", "resume=true", f"out={parts}", "max_steps=7"]) == 2
    assert "3.tar is new" in capsys.readouterr().err
    make_index(tiny_vae, shards, "overwrite=true")
    assert main(["train", "resume=true", f"out={parts}", "max_steps=7"]) == 2
    assert "trained on files with other names or captions" in capsys.readouterr().err


def test_a_step_without_a_usable_sample_is_skipped_and_the_run_goes_on(
    tiny_vae, shards, tmp_path, capsys, metrics
):
    make_index(tiny_vae, shards)
    shard = shards / "1.tar"
    content, changed_ns = bytearray(shard.read_bytes()), shard.stat().st_mtime_ns
    content[512 + 40] ^= 1  # in the first picture of the shard
    shard.write_bytes(content)
    os.utime(shard, ns=(changed_ns, changed_ns))
    one_each = ("token_budget=27", "log_every=1", "max_nonfinite_steps=1", f"max_steps={NUM}")
    out = tmp_path / "out"
    assert main(["train", *train_words(tiny_vae, shards, out, *one_each)]) == 0
    (skipped,) = [line for line in metrics(out) if "loss" not in line]
    assert skipped == {"step": skipped["step"], "empty": True, "num_skipped": 1}
    error = capsys.readouterr().err
    assert f"warning: step {skipped['step']} skipped: no sample" in error
    assert metrics(out)[-1]["num_skipped"] == 1
    (line,) = (out / QUARANTINE).read_text().splitlines()
    assert json.loads(line)["path"] == "1.tar/00005.png"
