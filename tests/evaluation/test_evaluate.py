import copy
import json
from collections import Counter
from dataclasses import replace

import pytest

from lumina_core import LuminaError, World
from lumina_core.cli.main import main
from lumina_core.evaluation import evaluate, oracle
from lumina_core.evaluation.oracle import cases, wilson_interval
from lumina_core.sampling import sample

SMALL = ["modality.height=32", "modality.width=32", "num_prompts=3"]


@pytest.fixture
def ask(at_checkpoint):
    """The words of a short evaluation."""
    fast = ["solver.num_steps=1", "guidance.scale=1"]
    return lambda *words: ["evaluate", *at_checkpoint, *fast, *words]


@pytest.fixture
def world(tiny_model):
    return tiny_model.modality.world


def test_wilson_interval_has_its_known_values():
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=1e-4)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson_interval(1, 29) == pytest.approx((0.0061, 0.1718), abs=1e-4)
    low, high = wilson_interval(20, 20)
    assert (1 - high, 1 - low) == pytest.approx(wilson_interval(0, 20), abs=1e-12)


def test_cases_depend_on_the_seed_alone(world, tiny_model):
    options = tiny_model.modality.options
    first = cases(world, "trained", options, 30, 0)
    assert first == cases(world, "trained", options, 30, 0)
    assert first[:10] == cases(world, "trained", options, 10, 0)
    assert first != cases(world, "trained", options, 30, 1)


def test_cases_are_balanced_over_tasks_and_sizes(world, tiny_model):
    for split in world.splits:
        found = cases(world, split, tiny_model.modality.options, 48, 0)
        tasks = Counter(case.task for case in found)
        assert set(tasks) == set(world.tasks(split))
        assert max(tasks.values()) - min(tasks.values()) <= 1
        sizes = {(case.request.options.height, case.request.options.width) for case in found}
        legal = {(v["height"], v["width"]) for v in world.variants(split)}
        assert sizes <= legal
        assert len(sizes) >= min(len(legal), 4)
        assert len({case.request.seed for case in found}) == 48
        for case in found:
            assert world.task_of(case.request.prompt) == case.task


def test_json_follows_the_schema(ask, world, capfd, tmp_path):
    words = ["num_prompts=12", "splits=[trained,held_out]", "json=true", f"out={tmp_path / 'kept'}"]
    assert main(ask(*words)) == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    result = json.loads(captured.out)
    assert result["modality"] == "image"
    assert len(result["checkpoint"]) == 64
    assert list(result["splits"]) == ["trained", "held_out"]
    for split, found in result["splits"].items():
        assert found["num_prompts"] == 12
        assert 0 <= found["low"] <= found["accuracy"] <= found["high"] <= 1
        assert set(found["tasks"]) == set(world.tasks(split))
        assert sum(task["num_prompts"] for task in found["tasks"].values()) == 12
        assert found["attributes"]["count"]["num_prompts"] == 12
        assert not any(name[-1].isdigit() for name in found["attributes"])
        assert len(list((tmp_path / "kept" / split).glob("*.png"))) == 12
        assert (tmp_path / "kept" / f"{split}-failures.png").is_file()  # nothing was learned yet
    assert main(ask(*words)) == 2
    assert "exists already" in capfd.readouterr().err


def test_the_budget_changes_no_result(ask, capfd):
    def result(budget):
        words = ["num_prompts=4", "splits=[trained]", "json=true", f"token_budget={budget}"]
        assert main(ask(*words)) == 0
        return json.loads(capfd.readouterr().out)

    assert result(1) == result(100_000)


def test_the_table_names_every_task(ask, world, capfd):
    assert main(ask("num_prompts=11", "splits=[trained]")) == 0
    out = capfd.readouterr().out
    for name in (*world.tasks("trained"), "attribute", "count", "shape"):
        assert name in out
    assert out.count("trained") == 2  # of the table of tasks, and of that of attributes


def test_a_perfect_picture_is_right(tiny_model, world, tmp_path):
    from lumina_core.evaluation.oracle import Verdict, summarise
    from lumina_core.runtime import seeded

    verdicts = []
    for case in cases(world, "trained", tiny_model.modality.options, 12, 0):
        prompt, options = case.request.prompt, case.request.options
        picture = world.draw(prompt, options, seeded(case.number))
        verdicts.append(Verdict(case, world.judge(picture, prompt, options), tmp_path))
    result = summarise(verdicts)
    assert result["accuracy"] == 1.0
    assert {task["accuracy"] for task in result["tasks"].values()} == {1.0}
    assert {found["accuracy"] for found in result["attributes"].values()} == {1.0}


def test_attributes_with_a_number_are_one_and_right_together(world, tiny_model, tmp_path):
    judged = (
        {"count": True, "colour_1": True, "colour_2": True, "size": False},
        {"count": False, "colour_1": True, "colour_2": False},
        {"count": True, "colour_1": True},
        {"count": True},
    )
    found = cases(world, "trained", tiny_model.modality.options, len(judged), 0)
    verdicts = [
        oracle.Verdict(case, attributes, tmp_path)
        for case, attributes in zip(found, judged, strict=True)
    ]
    shares = oracle.summarise(verdicts)["attributes"]
    right = {name: (share["accuracy"], share["num_prompts"]) for name, share in shares.items()}
    assert right == {"count": (3 / 4, 4), "colour": (2 / 3, 3), "size": (0, 1)}
    assert (shares["colour"]["low"], shares["colour"]["high"]) == wilson_interval(2, 3)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("splits=[trainde]", "Did you mean 'trained'?"),
        ("num_prompts=0", "num_prompts is 0"),
        ("splits=[]", "splits is []; name each split once"),
        ("splits=[trained,trained]", "name each split once"),
        ("compare=nowhere.json", "compare=nowhere.json cannot be read"),
        ("compare=setup.cfg", "is no result of"),
        ("modality.patch_size=4", "which the checkpoint fixes"),
    ],
)
def test_a_mistake_is_one_line(ask, refusal, tmp_path, word, message):
    assert message in refusal(*ask(word, f"out={tmp_path / 'out'}"))
    assert not (tmp_path / "out").exists()


def test_an_unknown_task_is_refused_by_the_world(world):
    from lumina_core.runtime import seeded

    with pytest.raises(LuminaError):
        world.caption("trained", seeded(0), "baking")


class ToyWorld(World):
    """Splits of its own, tasks that differ between them, and nothing that it varies."""

    version = "7"
    splits = ("trained", "unseen_durations")
    task_of = draw = None

    def __init__(self):
        self.judged = []

    def tasks(self, split):
        return ("tone", "sweep") if split == "trained" else ("tone",)

    def variants(self, split):
        return ()

    def caption(self, split, generator, task=None):
        return f"a <b>{task}</b>"

    def judge(self, media, caption, options):
        self.judged.append((tuple(media.shape), options))
        return {"is_there": True, "is_<high>": "tone" not in caption}


@pytest.fixture
def toy(tiny_model, monkeypatch):
    """The checkpoint with another world: tones fail, sweeps do not."""
    modality = copy.copy(tiny_model.modality)
    modality.world = ToyWorld()
    model = replace(tiny_model, modality=modality)
    monkeypatch.setattr(evaluate, "load_model", lambda *_: model)
    return model


@pytest.fixture
def measure(toy, ask, capsys):
    def result(*words):
        capsys.readouterr()
        assert main(ask(*SMALL, "json=true", *words)) == 0
        return json.loads(capsys.readouterr().out)

    return result


def test_a_result_tells_its_protocol(measure):
    result = measure("seed=4")
    assert list(result) == ["modality", "checkpoint", "protocol", "splits"]
    assert result["protocol"] == {
        "modality": "image",
        "oracle": "7",
        "seed": 4,
        "num_prompts": 3,
        "splits": {"trained": ["tone", "sweep"], "unseen_durations": ["tone"]},
        "options": {"height": 32, "width": 32},
        "solver": {"name": "euler", "num_steps": 1, "shift": 1.0, "atol": 1e-5, "rtol": 1e-5},
        "guidance": {"scale": 1.0, "interval": [0.0, 1.0], "channels": None},
        "rope_scaling": {"linear": 1.0, "ntk": 1.0, "watershed": None},
        "longest_side": None,
        "position_limit": None,
        "proportional_attention": None,
        "coarse": {"above": None, "tokens": 80, "strength": 0.7},
        "dtype": "float32",
    }
    trained, unseen = result["splits"].values()
    assert (trained["accuracy"], unseen["accuracy"]) == (1 / 3, 0)
    assert {task: found["accuracy"] for task, found in trained["tasks"].items()} == {
        "tone": 0,
        "sweep": 1,
    }


def test_the_oracle_is_told_the_options_of_each_sample(measure, toy):
    measure("modality.width=40")
    assert len(toy.modality.world.judged) == 6
    for shape, options in toy.modality.world.judged:
        assert shape == (3, options.height, options.width) == (3, 32, 40)


def test_options_that_the_world_varies_are_no_part_of_the_protocol(ask, capfd):
    assert main(ask("num_prompts=1", "splits=trained", "json=true")) == 0
    assert json.loads(capfd.readouterr().out)["protocol"]["options"] == {}


def test_a_folder_keeps_files_result_and_report(measure, tmp_path):
    out = tmp_path / "kept"
    out.mkdir()  # an empty folder is as good as none
    result = measure(f"out={out}")
    assert json.loads((out / "result.json").read_text()) == result
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    files = {f"{split}/{number:05d}.png" for split in ToyWorld.splits for number in range(3)}
    sheets = {f"{split}-failures.png" for split in ToyWorld.splits}
    assert names == {"result.json", "report.html", *files, *sheets}
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_a_report_shows_what_failed(measure, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "NUM_FAILURES_SHOWN", 2)
    out = tmp_path / "new" / "report.html"
    result = measure(f"out={out}")
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    text = out.read_text()
    assert text.count('src="data:image/png;base64,') == 2 + 2
    assert "<h2>trained: 2 wrong</h2>" in text
    assert "<h2>unseen_durations: 3 wrong, 2 of them shown</h2>" in text
    assert text.count("<small>wrong: is_&lt;high&gt;</small>") == 4
    assert text.count("<h3>is_&lt;high&gt;: 2</h3>") == 2
    assert '<tr><th scope="row">trained</th><td>is_there</td><td>100.0%</td>' in text
    assert 'alt="a &lt;b&gt;tone&lt;/b&gt;"' in text
    assert "<b>" not in text
    assert result["checkpoint"] in text
    low, high = (f"{result['splits']['trained'][key]:.1%}" for key in ("low", "high"))
    assert f"<td>{low} to {high}</td>" in text
    assert "solver.num_steps" in text


def test_a_report_is_replaced_only_when_told(measure, ask, refusal, tmp_path):
    out = tmp_path / "report.html"
    out.write_text("mine")
    error = refusal(*ask("num_prompts=1", f"out={out}"))
    assert "exists already; use overwrite=true" in error
    assert out.read_text() == "mine"
    measure(f"out={out}", "overwrite=true")
    assert "Evaluation of image" in out.read_text()


def test_a_result_is_compared_with_an_earlier_one(measure, ask, capsys, tmp_path):
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps(measure()))
    out = tmp_path / "report.html"
    words = [f"compare={earlier}", "solver.num_steps=2", "splits=trained"]
    comparison = measure(*words, f"out={out}")["comparison"]
    assert comparison["settings"] == {"solver.num_steps": [1, 2]}
    assert list(comparison["splits"]) == ["trained"]
    assert comparison["splits"]["trained"]["difference"] == 0
    assert "solver.num_steps was 1, is now 2" in out.read_text()
    assert main(ask(*SMALL, *words)) == 0
    captured = capsys.readouterr()
    assert "note: solver.num_steps was 1, is now 2" in captured.err
    assert "+0.0" in captured.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=1"], "measured with seed=0, this would be with 1"),
        (["num_prompts=4"], "measured with num_prompts=3, this would be with 4"),
    ],
)
def test_unlike_measurements_are_refused_before_anything_is_generated(
    measure, ask, refusal, tmp_path, monkeypatch, words, message
):
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps(measure()))
    monkeypatch.setattr(oracle, "sample_batch", None)
    assert message in refusal(*ask(*SMALL, f"compare={earlier}", *words))
    monkeypatch.setattr(ToyWorld, "version", "8")
    error = refusal(*ask(*SMALL, f"compare={earlier}"))
    assert "measured with oracle='7', this would be with '8'" in error


def test_a_folder_that_cannot_be_kept_is_found_before_anything_is_measured(
    ask, refusal, tmp_path, monkeypatch
):
    monkeypatch.setattr(evaluate, "load_model", None)
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "link").symlink_to(empty)
    monkeypatch.chdir(empty)
    for words, message in (
        (["out=."], "out=. would have to be replaced"),
        ([f"out={empty}"], "would have to be replaced"),
        ([f"out={tmp_path / 'link'}"], "would have to be replaced"),
        ([f"out={tmp_path}"], "choose an empty or new folder"),
        ([f"out={tmp_path / 'new'}", "overwrite=true"], "overwrite=true replaces a report"),
    ):
        assert message in refusal(*ask("num_prompts=1", *words))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "link"]


@pytest.mark.parametrize("name", ["kept", "report.html"])
def test_an_interrupt_leaves_nothing(toy, ask, tmp_path, monkeypatch, name):
    calls = []
    original = sample.sample_batch

    def interrupted(*words, **more):
        calls.append(None)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*words, **more)

    monkeypatch.setattr(oracle, "sample_batch", interrupted)
    assert main(ask(*SMALL, f"out={tmp_path / 'new' / name}")) == 130
    assert [path for path in tmp_path.rglob("*") if path.name != "new"] == []


def test_more_prompts_than_tasks_or_fewer_are_both_measured(measure):
    found = measure("num_prompts=1")
    assert found["protocol"]["splits"] == {"trained": ["tone"], "unseen_durations": ["tone"]}
    assert list(found["splits"]["trained"]["tasks"]) == ["tone"]


def test_a_modality_without_a_world_is_one_line(toy, ask, refusal):
    toy.modality.world = None
    assert "has no synthetic world" in refusal(*ask("num_prompts=1"))
