"""``edged web``: serves the pages that people open in a browser."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

NEEDS = ("starlette", "uvicorn")


app = typer.Typer(
    no_args_is_help=False,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
pin = typer.Typer(
    help="""Who may act at the duty desk (/duty), and with which PIN.

    \b
      edged web pin set "赵敏" --config /etc/edged/hall.toml       asks for the PIN twice
      edged web pin remove "赵敏" --config /etc/edged/hall.toml
    The file is [pages] pins of hall.toml; it holds argon2id hashes, and is read at every login.
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(pin, name="pin")
Hall = Annotated[Path | None, typer.Option("--config", "-c", help="The hall: hall.toml, with [pages].")]
Name = Annotated[str, typer.Argument(help="Name of the member of staff, as it is to stand beside each act.")]


@app.callback()
def web(
    context: typer.Context,
    config: Hall = None,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    warp: Annotated[str | None, typer.Option(hidden=True)] = None,
    child: Annotated[bool, typer.Option("--child", hidden=True, help="End with standard input.")] = False,
) -> None:
    """Serve the hall's pages: / duty view, /board for visitors, /duty to act, /replay of days, /report to print.

    A separate process beside `edged run`: it reads what the daemon publishes. Orders that a named member of staff gives
    at /duty are signed with the key of [pages] duty_key. It listens on localhost unless [pages] says otherwise; its
    first line on stdout is its address.

    \b
    Exit codes: 0 stopped, 2 configuration, address in use, or the extra [web] is missing.
    Example:    edged web --config /etc/edged/hall.toml
    """
    if context.invoked_subcommand is not None:
        return
    if config is None:
        raise _fail("give the hall with --config hall.toml")
    _needs(*NEEDS)
    from edged.pages.start import serve

    raise typer.Exit(serve(config, log_level, warp, child))


@pin.command("set")
def set_(name: Name, config: Hall = None) -> None:
    """Set or change a member of staff's PIN of 6 to 12 digits. It is asked for; in a script it is read from standard
    input.
    """
    import sys
    from getpass import getpass

    if sys.stdin.isatty():
        chosen = getpass(f"PIN of {name}: ")
        if chosen != getpass("again: "):
            raise _fail("the two are not the same; nothing was changed")
    else:
        chosen = sys.stdin.readline().rstrip("\n")
    _keep(config, name, chosen)
    typer.echo(f"{name}: may act at the duty desk / 可以使用值班台")


@pin.command()
def remove(name: Name, config: Hall = None) -> None:
    """Delete a PIN; whoever is logged in with it can give no more orders."""
    _keep(config, name, None)
    typer.echo(f"{name}: may not act any more / 已取消")


def _keep(config: Path | None, name: str, chosen: str | None) -> None:
    _needs("argon2")
    from edged.config import ConfigErrors, load
    from edged.pages import pins

    if config is None:
        raise _fail("give the hall with --config hall.toml")
    try:
        file = load(config).pages.pins
    except ConfigErrors as errors:
        raise _fail(errors.lines[0]) from None
    if file is None:
        raise _fail(f'{config}: [pages] has no pins; add pins = "/etc/edged/pins.json"')
    try:
        pins.keep(Path(file), name, chosen)
    except (ValueError, OSError) as error:
        raise _fail(str(error)) from None


def _needs(*names: str) -> None:
    if any(find_spec(name) is None for name in names):
        raise _fail(f"needs {' and '.join(names)}: pip install 'edged[web]'")


def _fail(text: str) -> typer.Exit:
    typer.echo(f"edged web: {text}", err=True)
    return typer.Exit(2)
