"""The entry point: `canary`, or `python -m canary`."""

import sys

from canary.cli import app


def main() -> None:
    """Run the command line and exit with its code."""
    sys.excepthook = app.told_briefly
    sys.exit(app.main())


if __name__ == "__main__":
    main()
