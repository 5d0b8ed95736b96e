"""``python -m edged``: the command line."""

from __future__ import annotations


def main() -> None:
    """Run the command line (imported lazily, so that ``edged run`` starts fast)."""
    from edged.cli import app

    app()


if __name__ == "__main__":
    main()
