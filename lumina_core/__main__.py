"""`python -m lumina_core` and the script `lumina`: the command line, also before it is there.

Importing what reads a command takes 0.3 s, and Ctrl-C may come within.
"""

import sys


def main(argv: list[str] | None = None) -> int:
    """Run one command, quiet after Ctrl-C from the first import on; see `cli.main.main`."""
    try:
        from lumina_core.cli.main import main as run_command

        return run_command(argv)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
