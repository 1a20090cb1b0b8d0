"""A process of its own that imports a modality and uses its parts once, and tells what it changed.

Only the first use tells: what was used before has changed its settings, seeded its numbers and
asked its servers already. Run as `python -m lumina_core.testing.first_use NAME FOLDER [VAE]`, it
writes what it found into the folder.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lumina_core.testing.verdicts import BrokenRuleError

if TYPE_CHECKING:
    pass


_BETWEEN = "\0"  # what is printed before an import, by it, and after it


@dataclass(frozen=True)
class Findings:
    """What an import, or a use, did beside its work."""

    settings: list[str]
    """Names of SETTINGS that it changed."""
    random_numbers: list[str]
    """Names of RANDOM_NUMBERS that it took or seeded."""
    addresses: list[str]
    """That it asked, each refused."""
    refusal: str
    """Why the rules say nothing of it; empty: they do."""
    fault: str
    """What it raised; empty: nothing."""


@dataclass(frozen=True)
class FirstUse:
    """What a process told."""

    printed: str
    """By the import."""
    importing: Findings
    using: Findings


def observe(name: str, folder: Path, vae: Path | None) -> FirstUse:
    """What a new process tells of importing a modality and of using its parts.

    Args:
        name: of the modality.
        folder: empty; takes what is written.
        vae: folder of an autoencoder, as `Subject` has it.

    Raises:
        BrokenRuleError: the process ended without telling.
    """
    words = [name, str(folder), *([] if vae is None else [str(vae)])]
    done = start([sys.executable, "-m", f"{__package__}.first_use_child", *words])
    answer = folder / "findings.json"
    if not answer.is_file():
        last = done.stderr.split()[-40:]
        raise BrokenRuleError(
            f"a process that uses its parts ends with code {done.returncode} ({' '.join(last)}); "
            "let it go on, and raise exceptions instead"
        )
    importing, using = (Findings(**each) for each in json.loads(answer.read_text()))
    printed = [text.split(_BETWEEN)[1] for text in (done.stdout, done.stderr)]
    return FirstUse("".join(printed).strip(), importing, using)


def start(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """A process of this command, at its end."""
    return subprocess.run(command, capture_output=True, text=True, check=False)
