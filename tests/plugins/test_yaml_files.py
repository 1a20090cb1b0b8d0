"""YAML of plugins that is strange: it changes nothing of the core, and is refused in one line."""

import json
from itertools import pairwise

import pytest

from lumina_core import LuminaError
from lumina_core.cli.main import main
from lumina_core.plugins.yaml_files import read_yaml
from toy_plugin import OPTIONS, YAML

LEVELS = "abcdefghi"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{level}: &{level} [{', '.join([f'*{below}'] * 9)}]\n" for below, level in pairwise(LEVELS)
)


def test_a_conf_folder_cannot_change_the_core(write_distribution, capsys):
    from lumina_core.cli.help import command_help
    from lumina_core.sampling.compose import compose_run

    folder = write_distribution("lumina-bad", "bad")
    before = compose_run(["+modality=bad", "prompt=x"]), command_help("run")
    for path, text in {
        "run.yaml": "seed: 99\n", "solver/euler.yaml": "name: euler\n", "solver/mine.yaml": "a: 1",
        "modality/other.yaml": "a: 1", "vae/mine.yaml": "hub_id: a/b",
    }.items():  # fmt: skip
        (folder / "conf" / path).parent.mkdir(exist_ok=True)
        (folder / "conf" / path).write_text(text)
    assert (compose_run(["+modality=bad", "prompt=x"]), command_help("run")) == before
    with pytest.raises(LuminaError, match="solver=mine is unknown"):
        compose_run(["+modality=bad", "prompt=x", "solver=mine"])
    assert main(["doctor", "bad"]) == 0
    idle = [line for line in capsys.readouterr().out.splitlines() if "nothing reads" in line]
    assert [line.rpartition("/conf/")[2].split()[-1] for line in idle] == [
        *("conf/modality/other.yaml", "conf/run.yaml"),
        *("conf/solver/euler.yaml", "conf/solver/mine.yaml"),
    ]


YAMLS = {
    "list": ("- a\n- b\n", "holds a list"),
    "bomb": (BOMB, "has an alias"),
    "large": (YAML + f"x: '{'a' * 10**8}'\n", "it has more than 65536 bytes"),
    "latin": (YAML.encode() + b"x: \xe9\n", "cannot be read"),
    "target": (YAML + "_target_: os.system\n", "unknown key '_target_'. Known: sampling, tr"),
    "object": (YAML + "x: !!python/object/apply:os.system [ls]\n", "no constructor|constructor"),
    "decode": (
        YAML.replace("scale: 2", 'scale: ${oc.decode:"5"}'),
        r"must be a number, got '\$\{oc",
    ),
    "number_key": (YAML.replace("token_budget", "5"), r"has the key 5 \(int\); a key is a text"),
    "flat_advice": (YAML.partition("sampling:")[0] + "sampling: [1]\n", "a block of keys"),
    "condition": (YAML + "condition: 5\n", "condition has its default in Options"),
    "deep": ("a: " + "[" * 2000 + "]" * 2000, "cannot be read: maximum recursion"),
    "escape": (YAML + "x: \x1b[2J\n", "special characters are not allowed"),
}


@pytest.mark.parametrize("kind", YAMLS)
def test_a_strange_yaml_is_one_line_wherever_it_is_read(
    write_distribution, commands, refusal, capsys, kind
):
    content, reason = YAMLS[kind]
    folder = write_distribution("lumina-bad", "bad")
    write_distribution("lumina-toy", "toy")
    yaml = folder / "conf/modality/bad.yaml"
    yaml.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["run", "+modality=toy", "x"]) == 0
    assert main(["run", "--help"]) == 0
    assert main(["plugins", "--check", "--json"]) == 1
    out = capsys.readouterr().out
    with pytest.raises(LuminaError, match=reason) as raised:
        raise LuminaError(refusal("run", "+modality=bad", "x"))
    bad, good = json.loads(out[out.index("[\n  {") :])
    assert (bad["status"], good["status"]) == ("broken", "loaded")
    said = str(raised.value).removeprefix("error: ").strip()
    assert said[:90] == bad["error"][:90]


def test_the_schema_of_a_plugin_is_printed_harmlessly(write_distribution, capsys):
    text = OPTIONS.replace('"demo"', '"\\x1b[31mred"').replace("of the toy", "\u202e" + "x" * 10**4)
    write_distribution("lumina-toy", "toy", options=text)
    assert main(["schema", "toy"]) == 0
    out = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in out)
    assert "[31mred" in out
    assert len(out) < 10**4


def test_an_interpolation_stays_as_written(toy, monkeypatch):
    from lumina_core.sampling.compose import compose_run

    monkeypatch.setenv("LUMINA_SECRET", "hush")
    words = ["+modality=toy", "prompt=x", "modality.vae=${oc.env:LUMINA_SECRET}"]
    assert compose_run(words).options.vae == "${oc.env:LUMINA_SECRET}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5), ("-1E3", -1000.0), (".5e2", 50.0), ("1_000", 1000), ("1.0", 1.0),
        ("2020-01-01", "2020-01-01"), ("no", False), ("~", None), ("'5'", "5"), ("e5", "e5"),
    ],
)  # fmt: skip
def test_values_are_read_as_one_writes_them(tmp_path, text, value):
    path = tmp_path / "a.yaml"
    path.write_text(f"a: {text}\n")
    assert read_yaml(path) == {"a": value}
    assert type(read_yaml(path)["a"]) is type(value)
