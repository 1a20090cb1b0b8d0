"""The kit for authors: the list of rules, how results are told, and the page that lists them."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from new_packages import installed
from planting import LINE_DECODE, PARTS, TASK_OF, edit

from lumina_core.cli.main import main
from lumina_core.errors import LuminaError
from lumina_core.testing import ModalityContract, all_checks, contract, first_use, run_contract
from lumina_core.testing.contract import run_check
from lumina_core.testing.memory import peak_bytes
from lumina_core.testing.report import contract_page, lines_of
from lumina_core.testing.rules import MODULES, Check, Result, rule

ROOT = Path(__file__).parents[2]


def without_bound(package):
    """A package that breaks one rule."""
    file = package / "setup.cfg"
    file.write_text(file.read_text().replace("lumina-core>=0.1,<0.2", "lumina-core>=0.1"))


def subject_like(top_package):
    """What a check is told about: a plugin that nothing is known of but its package."""
    return SimpleNamespace(top_package=top_package, causes={}, broken=[])


@pytest.fixture
def sprout(tmp_path, monkeypatch):
    with installed("sprout", "line", tmp_path, monkeypatch) as package:
        yield package


def test_every_rule_is_a_sentence_with_a_name_of_its_own():
    checks = all_checks()
    assert len({check.name for check in checks}) == len(checks) > 60
    assert {check.part for check in checks} == set(MODULES)
    for check in checks:
        assert re.fullmatch(r"[A-Z0-9`].*\.", check.rule), check.rule
        assert len(check.rule) < 200


def test_the_page_lists_every_rule():
    assert (ROOT / "docs" / "authors" / "contract.md").read_text() == contract_page()


def test_a_check_without_a_rule_is_refused():
    with pytest.raises(ValueError, match="states no rule"):
        rule(lambda subject: None)


def test_whatever_a_check_raises_breaks_its_rule():
    def check(subject):
        raise SystemExit(3)

    result = run_check(Check("name", "vae", "Rule.", check), subject_like("other"))
    assert (result.status, "SystemExit: 3" in result.message) == ("broken", True)
    assert "SystemExit" in result.trace


def test_what_the_plugins_code_raises_is_told_with_its_place():
    def check(subject):
        json.loads("{")

    result = run_check(Check("name", "vae", "Rule.", check), subject_like("json"))
    assert result.message.startswith("decoder.py, line ")
    assert "raises JSONDecodeError: Expecting property name" in result.message
    assert result.trace == ""


def test_a_mistake_of_the_user_is_told_without_a_trace():
    def check(subject):
        raise LuminaError("what to do")

    result = run_check(Check("name", "vae", "Rule.", check), subject_like("other"))
    assert (result.status, result.message, result.trace) == ("broken", "what to do", "")


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("sprout.py", "def (:\n", "SyntaxError: invalid syntax"),
        (
            "sprout.py",
            "class SproutModality:\n    def __init__(self, *words):\n        1 / 0\n",
            "cannot be made: sprout.py, line 3, in __init__ raises ZeroDivisionError",
        ),
        ("plugin.py", "nothing\n", "name 'nothing' is not defined"),
    ],
)
def test_what_cannot_be_loaded_is_told_once(file, text, said, tmp_path, monkeypatch, capsys):
    def broken(package):
        (package / "lumina_sprout" / file).write_text(text)

    with installed("sprout", "line", tmp_path, monkeypatch, broken):
        assert main(["doctor", "sprout", "--contract"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err and len(printed.err.splitlines()) == 1


def test_weights_for_a_modality_without_any_are_refused(sprout, tmp_path):
    with pytest.raises(LuminaError, match="'sprout' has no weights; leave out"):
        next(run_contract("sprout", vae=tmp_path))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, 'names no modality; write modality = "NAME"'),
        (
            {"modality": "sprout", "expected_failures": {"tokens_come_bakc": "reason"}},
            "no check 'tokens_come_bakc'.*Did you mean 'tokens_come_back'",
        ),
        ({"modality": "sprout", "vae": Path("/tmp")}, "has no weights"),
    ],
)
def test_a_class_that_cannot_be_used_fails_once(more, said, sprout):
    contract = type("TestContract", (ModalityContract,), more)
    contract.setup_class()
    first, second, *_ = all_checks()
    with pytest.raises(pytest.fail.Exception, match=said):
        contract().test_rule(first)
    with pytest.raises(pytest.skip.Exception, match="another test tells"):
        contract().test_rule(second)
    contract.teardown_class()


@pytest.fixture
def check_only(monkeypatch):
    """Let a few checks run and take every other rule for kept."""

    def only(*names):
        def checked(check, subject):
            if check.name in names:
                return run_check(check, subject)
            return Result(check, "kept", "", 0.0)

        monkeypatch.setattr(contract, "run_check", checked)

    return only


def test_doctor_tells_of_each_rule_and_what_to_do(sprout, check_only, capsys):
    check_only("features_fit_the_frames", "weights_wait_for_their_use", "condition_takes_a_file")
    assert main(["doctor", "sprout", "--contract"]) == 0
    printed = capsys.readouterr().out
    for check in all_checks():
        assert check.name in printed
    assert re.search(r"\d+ rules kept, 0 broken, 3 do not apply \(\d+ s\)\n$", printed)


def test_a_broken_rule_is_told_with_its_remedy(tmp_path, monkeypatch, check_only, capsys):
    check_only("core_version_is_bounded")
    with installed("sprout", "line", tmp_path, monkeypatch, without_bound):
        assert main(["doctor", "sprout", "--contract", "--json"]) == 1
        records = json.loads(capsys.readouterr().out)
    broken = [record for record in records if record["status"] == "broken"]
    assert [record["check"] for record in records] == [check.name for check in all_checks()]
    assert [record["check"] for record in broken] == ["core_version_is_bounded"]
    assert "write lumina-core>=0.1,<0.2" in broken[0]["message"]
    assert set(broken[0]) == {"check", "part", "rule", "status", "message", "seconds", "trace"}


def test_single_checks_can_be_run(sprout):
    (result,) = run_contract("sprout", ["tokens_come_back"])
    assert (result.check.name, result.status) == ("tokens_come_back", "kept")


def test_weights_may_be_named(tiny_vae):
    names = ["latents_have_the_shape_they_are_said_to", "trains_a_step"]
    assert [r.status for r in run_contract("image", names, vae=tiny_vae)] == ["kept", "kept"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("doctor", "--contract"), "needs the name of a modality"),
        (("doctor", "image", "--json"), "goes with --contract"),
        (("doctor", "image", "modality.vae=x"), "goes with --contract"),
        (("doctor", "image", "--contract", "modality.vae=x"), "modality.vae=x is no folder"),
        (("doctor", "nothing", "--contract"), "is not installed"),
        (("doctor", "image", "--contracts"), "unknown option '--contracts'"),
    ],
)
def test_other_words_of_doctor_are_refused(words, message, refusal):
    assert message in refusal(*words)


def test_an_expected_failure_that_passes_is_a_failure(sprout):
    class Contract(ModalityContract):
        modality = "sprout"
        expected_failures = {"tokens_come_back": "some reason"}  # noqa: RUF012

    check = next(check for check in all_checks() if check.name == "tokens_come_back")
    Contract.setup_class()
    try:
        with pytest.raises(AssertionError, match="take it out of expected_failures"):
            Contract().test_rule(check)
    finally:
        Contract.teardown_class()


def test_peak_bytes_counts_what_lives_at_once():
    def at_once():
        parts = [torch.zeros(1 << 18) for _ in range(4)]
        return torch.stack(parts).sum()

    def in_turn():
        return [torch.zeros(1 << 18).sum() for _ in range(4)]

    assert 4 << 20 < peak_bytes(at_once) < 9.5 * (1 << 20)
    assert 1 << 20 <= peak_bytes(in_turn) < 3 << 20


def test_the_first_peak_of_a_process_is_that_of_its_call():
    code = (
        "import torch\n"
        "from lumina_core.testing.memory import peak_bytes\n"
        "print(peak_bytes(lambda: torch.zeros(1 << 18)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 1 << 20 <= int(done.stdout) < 3 << 20


def test_what_fails_after_a_setting_was_changed_tells_that():
    def check(subject):
        torch.set_grad_enabled(False)
        raise RuntimeError("no graph")

    result = run_check(Check("name", "vae", "Rule.", check), subject_like("other"))
    assert "RuntimeError: no graph, after the plugin changed the gradients;" in result.message
    assert result.trace == ""


def test_what_a_check_changes_is_put_back():
    def check(subject):
        torch.set_grad_enabled(False)

    result = run_check(Check("name", "vae", "Rule.", check), subject_like("other"))
    assert (result.status, torch.is_grad_enabled()) == ("kept", True)


def test_a_modality_that_stands_alone_has_no_neighbours(sprout, monkeypatch):
    monkeypatch.setenv("LUMINA_ONLY", "sprout")
    (result,) = run_contract("sprout", ["trains_beside_other_modalities"])
    assert (result.status, result.message) == (
        "not applicable",
        "no other modality that can be used is installed",
    )


def test_a_neighbour_that_breaks_is_left_out(sprout, tmp_path, monkeypatch):
    def broken(package):
        parts = package / "lumina_weed" / "weed.py"
        parts.write_text(parts.read_text().replace("media.float() / STD", "media / nothing"))

    monkeypatch.setenv("LUMINA_ONLY", "sprout,weed")
    with installed("weed", "line", tmp_path / "weed", monkeypatch, broken):
        (result,) = run_contract("sprout", ["trains_beside_other_modalities"])
    assert result.status == "not applicable"
    assert "weed is left out: weed.py, line" in result.message
    assert "NameError: name 'nothing' is not defined" in result.message


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("1 / 0", r"its parts cannot be used once: world\.py, line \d+, in task_of raises Zero"),
        ("__import__('os')._exit(3)", r"a process that uses its parts ends with code 3 \("),
    ],
)
def test_parts_that_cannot_be_used_break_their_rules(statement, said, tmp_path, monkeypatch):
    def broken(package):
        world = package / "lumina_sprout" / "world.py"
        text = world.read_text().replace(TASK_OF, f"        {statement}\n{TASK_OF}")
        world.write_text(text)

    with installed("sprout", "line", tmp_path, monkeypatch, broken, first_use.start):
        (result,) = run_contract("sprout", ["parts_change_no_settings"])
    assert result.status == "broken"
    assert re.match(said, result.message), result.message


def test_a_part_that_is_a_class_is_told_once(tmp_path, monkeypatch, refusal):
    def class_as_part(package):
        file = package / "lumina_sprout" / "sprout.py"
        file.write_text(file.read_text().replace("self.vae = SproutVAE()", "self.vae = SproutVAE"))

    with installed("sprout", "line", tmp_path, monkeypatch, class_as_part):
        said = refusal("doctor", "sprout", "--contract")
    assert "its vae is the class SproutVAE, not an object of it; an object of" in said


def test_a_trace_is_told_once():
    def broken(name):
        trace = "Traceback (most recent call last):\nE"
        return Result(Check(name, "vae", "Rule.", print), "broken", "E", 0.1, trace)

    first = list(lines_of(broken("one")))
    second = list(lines_of(broken("two"), [broken("one")]))
    assert any("Traceback" in line for line in first)
    assert second[-1].strip() == "as of one" and len(second) == 4


def test_rules_build_on_earlier_ones():
    names = [check.name for check in all_checks()]
    assert any(check.builds_on for check in all_checks())
    for number, check in enumerate(all_checks()):
        assert set(check.builds_on) <= set(names[:number])


READ = "return torch.from_numpy(values)"
NOISE = "latent.float() * STD + torch.randn_like(latent)"
CAUSES = {
    "a wrong type": (READ, "return values.tolist()", ["files_hold_the_media", "oracle_judges_files",
        "trains_on_files", "parts_need_no_network"]),
    "a wrong value": (READ, "return torch.from_numpy(values[1:])", ["files_hold_the_media",
        "oracle_judges_files", "trains_on_files"]),
    "an exception": (LINE_DECODE, "raise ValueError('no')", ["media_come_back",
        "vae_is_deterministic", "seed_decides_what_is_made", "files_tell_how_to_make_them_again"]),
    "chance": ("latent.float() * STD", f"({NOISE})", ["vae_is_deterministic",
        "samples_do_not_depend_on_each_other", "threads_share_the_parts",
        "seed_decides_what_is_made"]),
}  # fmt: skip


@pytest.mark.parametrize("cause", CAUSES)
def test_one_cause_breaks_one_rule(cause, tmp_path, monkeypatch):
    old, new, names = CAUSES[cause]
    with installed(
        "sprout", "line", tmp_path, monkeypatch, lambda p: edit(p, ((PARTS, old, new),))
    ):
        results = list(run_contract("sprout", names))
    assert [result.status for result in results if result.status != "not checked"] == ["broken"] + [
        "kept" for result in results if result.status == "kept"
    ]
    others = [result for result in results if result.status == "not checked"]
    assert len(others) >= 1 and not any(result.trace for result in others)
    assert all(result.message.startswith(f"{results[0].check.name} is broken") for result in others)


def test_media_of_few_levels_may_be_equal_for_two_seeds(tmp_path, monkeypatch):
    """What an untrained network makes is silent here, whatever the seed."""
    silent = (PARTS, "latent.float() * STD", "(latent.float() > 5).float()")
    with installed("sprout", "line", tmp_path, monkeypatch, lambda p: edit(p, (silent,))):
        (result,) = run_contract("sprout", ["seed_decides_what_is_made"])
    assert (result.status, result.message) == ("kept", "")


@pytest.mark.parametrize(
    "words",
    [{"modality": None}, {"names": "tokens_come_back"}, {"names": [1]}, {"vae": 5}],
    ids=str,
)
def test_the_contract_is_asked_for_by_names(words):
    with pytest.raises(LuminaError, match="; give "):
        list(run_contract(**{"modality": "image"} | words))


def test_a_fork_tells_what_a_new_process_tells(tmp_path, monkeypatch):
    printing = (PARTS, "STD = 0.5", 'print("sprout", file=__import__("sys").stderr)\nSTD = 0.5')
    seeding = (PARTS, LINE_DECODE, f"torch.manual_seed(0)\n        {LINE_DECODE}")
    told, real = [], first_use.start
    with installed("sprout", "line", tmp_path, monkeypatch, lambda p: edit(p, (printing, seeding))):
        for start in (first_use.start, real):
            monkeypatch.setattr(first_use, "start", start)
            findings = tmp_path / str(len(told))
            findings.mkdir()
            told.append(first_use.observe("sprout", findings, None))
    assert told[0] == told[1]
    assert (told[0].printed, told[0].using.random_numbers) == ("sprout", ["torch"])
