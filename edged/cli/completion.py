"""``edged completion``: prints the script with which bash, zsh or fish completes commands and options."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from edged.cli import COMPLETE


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.")] = "bash",
) -> None:
    """Print the script that makes a shell complete commands and options.

    \b
    Examples:   edged completion bash > /etc/bash_completion.d/edged
                edged completion zsh > ~/.zfunc/_edged
                edged completion fish > ~/.config/fish/completions/edged.fish
    Exit codes: 0 printed.
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    typer.echo(get_completion_script(prog_name="edged", complete_var=COMPLETE, shell=shell))


def prepare() -> None:
    """Enable completion in the command line; called only if a shell asks for it, because it costs start time."""
    from typer.completion import completion_init  # type: ignore[attr-defined]

    completion_init()
