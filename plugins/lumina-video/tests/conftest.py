"""Folders of tiny autoencoders, one of each kind."""

import shutil

import diffusers
import pytest
import torch

from tiny_autoencoders import KINDS


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """The folder of each kind."""
    root = tmp_path_factory.mktemp("autoencoders")
    for name, (kind, config) in KINDS.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = getattr(diffusers, kind)(**config)
            for key, weight in model.named_parameters():
                if "per_channel_scale" in key:
                    weight.data.fill_(0.5)
        model.save_pretrained(root / name)
    return root


@pytest.fixture
def copy(folders, tmp_path):
    """Copy a folder, for a test to change."""

    def folder(name):
        shutil.copytree(folders / name, tmp_path / name)
        return tmp_path / name

    return folder
