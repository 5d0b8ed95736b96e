"""``python -m edged``: the command line."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line. A plain ``edged run --config FILE`` starts the daemon without loading the other commands,
    which saves start time.
    """
    if sys.argv[1:2] == ["run"]:
        from edged.daemon.start import plain

        options = plain(sys.argv[2:])
        if options is not None:
            _serve(**options)
    from edged.cli import COMPLETE, app
    from edged.cli.terminal import substitute_unprintable

    if COMPLETE in os.environ:
        from edged.cli.completion import prepare

        prepare()

    substitute_unprintable()
    app()


def _serve(config: str, log_level: str = "INFO", warp: str | None = None) -> None:
    from pathlib import Path

    from edged.daemon.start import serve

    sys.exit(serve(Path(config), log_level, warp))


if __name__ == "__main__":
    main()
