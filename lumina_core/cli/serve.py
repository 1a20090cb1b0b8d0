"""Reads the words of `serve`, and starts it."""

from importlib.util import find_spec

from lumina_core.config.keys import record_keys
from lumina_core.config.layers import value_of
from lumina_core.errors import LuminaError, unknown_key
from lumina_core.records import build
from lumina_core.server.settings import ServeConfig

PACKAGES = ("starlette", "uvicorn", "python_multipart")


def serve(words: list[str]) -> int:
    """Run the server until a signal ends it; returns the exit code.

    Args:
        words: `key=value` each.

    Raises:
        LuminaError: an unknown key, a wrong value, a package that is missing, or as `run_server`.
    """
    config = serve_config(words)
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise LuminaError(
            f"serve needs {', '.join(missing)}; install it: pip install 'lumina-core[serve]'"
        )
    from lumina_core.server.serve import run_server

    return run_server(config)


def serve_config(words: list[str]) -> ServeConfig:
    """The settings of a server; keys of several values may be given as often as there are values.

    Raises:
        LuminaError: an unknown key, one that is given twice, or a wrong value.
    """
    keys = {key.name: key for key in record_keys(ServeConfig)}
    values: dict[str, object] = {}
    for word in words:
        name, _, text = word.partition("=")
        if name not in keys:
            raise unknown_key(name, list(keys), " of serve")
        value = value_of(keys[name], name, text)
        if keys[name].is_list and value is not None:
            earlier = values.get(name)
            value = [*(earlier if isinstance(earlier, list) else []), *value]
        elif name in values:
            raise LuminaError(f"{name} is given twice; give it once")
        values[name] = value
    return build(ServeConfig, values)
