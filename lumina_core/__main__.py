"""`python -m lumina_core` and the script `lumina`: the command line, also before it is there.

Importing what reads a command takes 0.3 s, and Ctrl-C may come within.
"""

import sys


def main() -> int:
    """Run the command of this process; returns the exit code."""
    try:
        from lumina_core.cli.main import main as run_command

        return run_command()
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
