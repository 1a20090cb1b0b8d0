"""For authors of plugins: one list of rules that every modality keeps, each with its check.

Two ways lead through the same list: `class TestContract(ModalityContract): modality = "NAME"` in a
test file, and `python -m lumina_core doctor NAME --contract`. docs/authors/contract.md lists the
rules.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "BrokenRuleError": "verdicts",
    "ModalityContract": "pytest_class",
    "NotApplicableError": "verdicts",
    "Result": "rules",
    "all_checks": "rules",
    "run_contract": "contract",
}

__all__ = [*_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lumina_core.testing' has no attribute {name!r}")
    return getattr(import_module(f"lumina_core.testing.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
