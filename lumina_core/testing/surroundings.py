"""Rules about what surrounds a plugin: the network, random numbers, settings of the process."""

from lumina_core.testing.first_use import Findings
from lumina_core.testing.rules import rule
from lumina_core.testing.subject import Subject
from lumina_core.testing.verdicts import NotApplicableError, demand


@rule
def imports_change_no_settings(subject: Subject) -> None:
    """An import of the plugin prints nothing and changes no setting or random number."""
    found = subject.first_use.importing
    numbers = [f"random numbers of {name}" for name in found.random_numbers]
    changed = found.settings + numbers
    demand(
        not changed,
        f"importing it changes the {' and the '.join(changed)}",
        "do nothing at import",
    )
    lines = subject.first_use.printed.splitlines()
    demand(
        not lines,
        f"importing it prints {lines[:1]}",
        "print nothing: results of commands are on standard output",
    )


@rule
def parts_change_no_settings(subject: Subject) -> None:
    """Drawing, encoding, decoding, writing and reading change no setting of the process."""
    changed = _used(subject).settings
    demand(
        not changed,
        f"using its parts changes the {' and the '.join(changed)}",
        "pass settings as arguments, or put them back",
    )


@rule
def parts_take_no_global_random_numbers(subject: Subject) -> None:
    """No part takes or seeds the random numbers of the process: torch's, NumPy's, Python's."""
    changed = _used(subject).random_numbers
    demand(
        not changed,
        f"using its parts moves the random numbers of {' and '.join(changed)}",
        "use the generator that is given, or one of your own with a fixed seed",
    )


@rule
def parts_need_no_network(subject: Subject) -> None:
    """No part opens a connection: weights are fetched by the core, when the user allows it."""
    asked = subject.first_use.importing.addresses
    demand(not asked, f"importing it asks the network for {asked[:1]}", "do nothing at import")
    asked = _used(subject).addresses
    demand(
        not asked,
        f"using its parts asks the network for {asked[:1]}",
        "use lumina_core.local_folder, which fetches only with download=true",
    )


def _used(subject: Subject) -> Findings:
    """What the first use of its parts did beside its work."""
    found = subject.first_use.using
    if found.refusal:
        raise NotApplicableError(found.refusal)
    anything = found.settings or found.random_numbers or found.addresses
    demand(
        not found.fault or anything,
        f"its parts cannot be used once: {found.fault}",
        "mend that first: what comes after it was not looked at",
    )
    return found
