"""`python -m lumina_core`, the same as the script `lumina`."""

import sys

from lumina_core.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
