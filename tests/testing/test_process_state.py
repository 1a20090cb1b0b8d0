"""What a process shares is compared and put back."""

import logging
import os
import random
import sys
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from lumina_core.testing.process_state import (
    RANDOM_NUMBERS,
    SETTINGS,
    changed_since,
    state_kept,
    state_of,
)

CHANGES = {
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "number of threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "gradients": lambda: torch.set_grad_enabled(False),
    "deterministic algorithms": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "precision of products of matrices": lambda: torch.set_float32_matmul_precision("high"),
    "print options of torch": lambda: torch.set_printoptions(precision=2),
    "print options of NumPy": lambda: np.set_printoptions(precision=2),
    "errors of NumPy": lambda: np.seterr(all="raise"),
    "largest picture of Pillow": lambda: setattr(Image, "MAX_IMAGE_PIXELS", None),
    "working folder": lambda: os.chdir("/"),
    "environment": lambda: os.environ.update(SPROUT="1"),
    "rights of new files": lambda: os.umask(0o007),
    "recursion limit": lambda: sys.setrecursionlimit(9999),
    "sys.path": lambda: sys.path.append("/opt/sprout"),
    "level of logging": lambda: logging.root.setLevel(1),
    "handlers of logging": lambda: logging.root.addHandler(logging.NullHandler()),
    "warnings": lambda: warnings.simplefilter("ignore", UserWarning),
    "torch": lambda: torch.rand(1),
    "NumPy": lambda: np.random.rand(),
    "Python": lambda: random.seed(0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_is_seen_and_put_back(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parts = SETTINGS | RANDOM_NUMBERS
    before = state_of(parts)
    with state_kept():
        CHANGES[name]()
        assert name in changed_since(before, parts)
    assert changed_since(before, parts) == []


def test_a_folder_that_was_deleted_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with state_kept():
        (tmp_path / "gone").mkdir()
        os.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
    assert os.getcwd() == str(tmp_path)
