"""The package that `new-modality` writes."""

import json

import pytest
from doc_pages import num_code_lines
from new_packages import installed
from planting import LINE_PICTURE, LINE_REQUEST, OPTIONS, PARTS, ahead, behind, edit

import lumina_core
from lumina_core.cli.main import main
from lumina_core.cli.new_modality import SHAPES, TEMPLATES, new_modality
from lumina_core.plugins import host
from lumina_core.testing import all_checks, run_contract

MAX_SIMPLE = 150  # lines of code of a whole modality, its world and its oracle included
PROMPTS = {"line": "a slow loud sine", "grid": "red over blue"}


@pytest.fixture(params=SHAPES)
def sprout(request, tmp_path, monkeypatch):
    """The name of a modality from each template, installed, and a prompt of its world."""
    with installed("sprout", request.param, tmp_path, monkeypatch):
        yield "sprout", PROMPTS[request.param]


@pytest.mark.parametrize(
    "sprout", ["line", pytest.param("grid", marks=pytest.mark.faults)], indirect=True
)
def test_a_new_package_keeps_the_whole_contract(sprout):
    results = list(run_contract(sprout[0]))
    assert len(results) == len(all_checks())
    broken = [f"{r.check.name}: {r.message}\n{r.trace}" for r in results if r.status == "broken"]
    assert not broken, "\n".join(broken)


def test_a_new_package_trains_runs_and_is_measured(sprout, work, capsys):
    name, prompt = sprout
    words = ["max_steps=3", "num_threads=1", "data.pool_size=8", "data.refresh_per_step=1"]
    assert main(["train", f"+modality={name}", "out=run", "sample_every=0", *words]) == 0
    folder = json.loads(capsys.readouterr().out)["checkpoint"]
    at = [f"+modality={name}", f"checkpoint={folder}", "device=cpu", "solver.num_steps=2"]
    assert main(["run", *at, prompt, "json=true"]) == 0
    made = json.loads(capsys.readouterr().out)["files"][0]
    assert main(["info", made["path"]]) == 0
    assert prompt in capsys.readouterr().out
    assert main(["evaluate", *at, "num_prompts=2", "json=true"]) == 0
    splits = json.loads(capsys.readouterr().out)["splits"]
    assert set(splits) > {"trained", "held_out"}


def test_a_world_may_name_its_first_split_as_it_likes_and_vary_nothing(tmp_path, monkeypatch, work):
    def rename(package):
        world = package / "lumina_sprout" / "world.py"
        trained = '"trained": ({"samples": 96}, {"samples": 128}, {"samples": 192}),'
        assert trained in world.read_text()
        world.write_text(world.read_text().replace(trained, '"seen": (),'))

    words = ["max_steps=1", "num_threads=1", "data.pool_size=4", "data.refresh_per_step=0"]
    measured = ["evaluate_every=1", "num_evaluation_prompts=1", "token_budget=200"]
    with installed("sprout", "line", tmp_path, monkeypatch, rename):
        assert main(["train", "+modality=sprout", "out=run", *words, *measured]) == 0


def test_the_shape_may_be_one_word_and_help_wins(work, capsys):
    assert main(["new-modality", "sprout", "--shape", "--help"]) == 0
    assert "usage:" in capsys.readouterr().out
    assert not list(work.iterdir())
    assert main(["new-modality", "sprout", "a folder", "--shape=grid"]) == 0
    assert "pip install -e './a folder/lumina-sprout'" in capsys.readouterr().out
    options = work / "a folder" / "lumina-sprout" / "lumina_sprout" / "options.py"
    assert "height: int" in options.read_text()


def test_a_grid_needs_no_other_plugin(work, capsys, monkeypatch):
    monkeypatch.setenv("LUMINA_ONLY", "")
    host.forget()
    assert main(["new-modality", "sprout", "--shape", "grid"]) == 0
    options = work / "lumina-sprout" / "lumina_sprout" / "options.py"
    assert "height: int" in options.read_text()


def test_an_unknown_shape_is_refused_with_those_there_are(clean_refusal):
    said = clean_refusal("new-modality", "sprout", "--shape", "gird")
    assert "--shape=gird is unknown; use line or grid. Did you mean 'grid'?" in said


def test_the_next_commands_are_printed(work, capsys):
    assert main(["new-modality", "sprout"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "lumina-sprout"
    assert printed[3:] == [
        "python -m pip install -e ./lumina-sprout",
        "python -m lumina_core doctor sprout --contract",
        "python -m lumina_core train +modality=sprout out=outputs/sprout",
    ]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("name", "package", "title"),
    [
        ("two_words", "lumina-two-words", "TwoWords"),
        ("mymodality2", "lumina-mymodality2", "Mymodality2"),
    ],
)
def test_no_word_of_the_template_is_left(tmp_path, shape, name, package, title):
    folder = new_modality(name, tmp_path, shape)
    assert folder.name == package
    files = [path for path in folder.rglob("*") if path.is_file()]
    parts = folder / f"lumina_{name}" / f"{name}.py"
    assert parts in files and f"class {title}VAE" in parts.read_text()
    for path in files:
        text = path.relative_to(folder).as_posix() + path.read_text()
        for written in (package, name, title):
            text = text.replace(written, "")
        assert "mymodality" not in text.lower()


def test_every_file_of_a_template_is_written(tmp_path):
    for shape in SHAPES:
        folder = new_modality("sprout", tmp_path / shape, shape)
        template = TEMPLATES / shape
        wanted = {
            path.relative_to(template).as_posix().replace("mymodality", "sprout")
            for path in template.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        written = (path for path in folder.rglob("*") if path.is_file())
        assert {path.relative_to(folder).as_posix() for path in written} == wanted


@pytest.mark.parametrize(
    "name",
    [
        *("Sprout", "1st", "a-b", "", "..", "a/b", "class", "x" * 41, "ä", "a b", "a_", "core"),
        *sorted({path.stem for path in TEMPLATES.glob("*/lumina_mymodality/[a-z]*.py")}),
    ],
)
def test_names_that_cannot_be_are_refused(name, clean_refusal):
    assert "name" in clean_refusal("new-modality", name)


def test_installed_names_are_refused(clean_refusal):
    assert "lumina-image" in clean_refusal("new-modality", "image")


def test_nothing_is_overwritten(work, clean_refusal):
    (work / "lumina-sprout").mkdir()
    (work / "lumina-sprout" / "mine.txt").write_text("mine")
    assert "exists already" in clean_refusal("new-modality", "sprout")


def test_a_folder_that_cannot_be_written_is_refused(work, clean_refusal):
    (work / "file").write_text("a file")
    clean_refusal("new-modality", "sprout", "file")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("a", "b", "c"),
        ("sprout", "--shape"),
        ("sprout", "--shape", "nothing"),
        ("sprout", "--shade", "grid"),
        ("sprout", "--shape", "grid", "--shape", "line"),
        ("sprout", "--shape="),
        ("sprout", "--shape", "--shape"),
        ("sprout", "out=here"),
        ("sprout", ""),
    ],
)
def test_other_words_are_refused(words, clean_refusal):
    clean_refusal("new-modality", *words)


TEMPO = (
    behind(
        OPTIONS,
        'patch: int = setting(\n        8, "length of a token", unit="samples", at_least=1, '
        "at_most=LONGEST, fixed=True\n    )\n",
        '    tempo: float = setting(120.0, "how fast it is played", unit="beats per minute")\n',
    ),
    ahead(PARTS, LINE_REQUEST, 'metadata = {**metadata, "played_at": options.tempo}\n        '),
    (PARTS, LINE_PICTURE, "return picture[:, : int(options.tempo)].to(torch.uint8)"),
)
"""A signal whose values do not say how fast it is played: its files and its previews do."""


def test_what_the_media_do_not_say_reaches_write_and_preview(tmp_path, monkeypatch, work, capsys):
    words = ["max_steps=1", "num_threads=1", "data.pool_size=2", "data.refresh_per_step=0"]
    with installed("sprout", "line", tmp_path, monkeypatch, lambda package: edit(package, TEMPO)):
        assert main(["train", "+modality=sprout", "out=run", *words]) == 0
        folder = json.loads(capsys.readouterr().out)["checkpoint"]
        settings = {"modality": "sprout", "checkpoint": folder, "tempo": 21, "num_steps": 1}
        (made,) = lumina_core.generate("a slow loud sine", **settings)
        assert made.image.height == 21
        assert '"played_at": 21' in made.save("a.csv").read_text()


def test_a_simple_modality_is_simple():
    files = (TEMPLATES / "line" / "lumina_mymodality").glob("*.py")
    assert 0 < sum(num_code_lines(file.read_text()) for file in files) <= MAX_SIMPLE
