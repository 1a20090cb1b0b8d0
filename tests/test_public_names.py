"""The public names of the package; that plugins take no others is a rule of the contract."""

from importlib import import_module

import lumina_core
from lumina_core.testing.package import PUBLIC_MODULES


def test_every_public_name_is_there():
    assert len(lumina_core.__all__) > 10
    for name in lumina_core.__all__:
        assert getattr(lumina_core, name) is not None
    for module in PUBLIC_MODULES:
        assert import_module(module).__doc__
