"""``hypertape`` and ``python -m hypertape``: the command line."""

import signal
import sys

from . import _core


def main() -> int:
    # The command line handles Ctrl-C itself: it saves the run, or ends at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.stdout.flush()
    return _core.main(["hypertape", *sys.argv[1:]], [sys.executable, "-m", "hypertape"])


if __name__ == "__main__":
    sys.exit(main())
