"""``python -m portside``: the same as the ``portside`` command."""

import sys

from portside.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
