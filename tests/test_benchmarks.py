"""Every benchmark is found by its name, and says what it measures."""

from importlib.util import module_from_spec, spec_from_file_location

import pytest
from doc_pages import ROOT


@pytest.fixture
def command():
    spec = spec_from_file_location("benchmarks_main", ROOT / "benchmarks" / "__main__.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_list_says_what_each_measures(command, capsys):
    assert command.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    listed = {line.split()[0] for line in lines}
    files = {path.stem for path in (ROOT / "benchmarks").glob("*.py")}
    assert listed == files - {*command.HELPERS}
    assert {*command.BESIDE_PEERS} <= listed
    assert all(len(line.split(maxsplit=1)[1]) > 20 and line.endswith(".") for line in lines)


def test_a_benchmark_runs_as_a_command_of_its_own(command, tmp_path, monkeypatch, capsys):
    (tmp_path / "some.py").write_text('"""Some."""\nimport sys\nprint(sys.argv[1:], __name__)\n')
    monkeypatch.setattr(command, "HERE", tmp_path)
    monkeypatch.setattr(command.sys, "path", [*command.sys.path])
    monkeypatch.setattr(command.sys, "argv", [*command.sys.argv])
    assert command.main(["some", "rounds=1"]) == 0
    assert capsys.readouterr().out == "['rounds=1'] __main__\n"
    assert command.main(["other"]) == 2
    assert "no benchmark is called 'other'; choose one of some, peers" in capsys.readouterr().out
