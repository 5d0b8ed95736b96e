"""The command line: ``edged COMMAND``. Rules of this file:

* It lists the commands' names with one line about each; a command's module is imported when the command is called, so
that ``edged --help`` answers at once and ``edged run`` loads nothing that it does not use.
* Each command is a plain function ``edged.cli.NAME.NAME`` with typer annotations (``policy``, ``op``: a typer app).
* Commands print what they found on stdout and what went wrong on stderr.

Exit codes: 0 yes, done · 1 no (refused, degraded, not reachable, not found) · 2 wrong usage or configuration ·
70 a bug · 74 the disk · 75 another process has the journal · 78 written by a newer version.
"""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

COMPLETE = "_EDGED_COMPLETE"  # environment variable with which a shell asks for completions
COMMANDS: dict[str, tuple[str, str]] = {
    # name: (module:attribute, help line of one terminal line); in the order in which a newcomer needs them
    "demo": ("edged.cli.demo:demo", "Run a whole hall here: broker, devices, visitors, clerks."),
    "config": ("edged.cli.config:app", "Start a hall.toml from a few questions; its schema."),
    "check": ("edged.cli.check:check", "Check a hall.toml: every mistake, its line and a remedy."),
    "doctor": ("edged.cli.doctor:doctor", "Check this machine's fitness; print the site checklist."),
    "devices": ("edged.cli.devices:app", "One device: describe, probe, sniff, decode, find it."),
    "run": ("edged.cli.run:run", "Serve a hall until stopped (what the systemd unit calls)."),
    "web": ("edged.cli.web:app", "Serve the hall's pages: duty view, board, replay."),
    "pager": ("edged.cli.pager:pager", "Bring pages to WeCom, DingTalk, Feishu robots."),
    "counters": ("edged.cli.counters:counters", "Hear people counters that speak HTTP."),
    "bridge": ("edged.cli.bridge:bridge", "Follow a queue system by its database or web service."),
    "reload": ("edged.cli.reload:reload", "Have the running daemon take hall.toml as it is now."),
    "status": ("edged.cli.status:status", "Show a running hall: areas, windows, policy, health."),
    "alarms": ("edged.cli.alarms:alarms", "List a running hall's standing alarms, and what to do."),
    "cases": ("edged.cli.cases:cases", "List a running hall's open cases, late ones, percentages."),
    "why": ("edged.cli.why:why", "Explain why the tidal loop opened or closed windows."),
    "words": ("edged.cli.words:words", "List every text that people read, with an example."),
    "hours": ("edged.cli.hours:hours", "Show when a policy opens the hall; a year's holidays."),
    "policy": ("edged.cli.policy:app", "Keys; check, sign and push policies; what is in force."),
    "keys": ("edged.cli.keys:app", "Who may sign: a root key, the list of keys, push it."),
    "op": ("edged.cli.op:app", "Sign and push operations: open, close, notice, roll back …"),
    "backtest": ("edged.cli.backtest:backtest", "Run recorded days under other policies and compare."),
    "tune": ("edged.cli.tune:tune", "Fit the waiting policy to a hall's own journals."),
    "rehearse": ("edged.cli.rehearse:rehearse", "Rehearse policies for the daemon (edged-rehearse)."),
    "bench": ("edged.cli.bench:bench", "Measure this machine: latency, load, limits."),
    "simulate": ("edged.cli.simulate:simulate", "Simulate seeded days full of faults; check every promise."),
    "diagnose": ("edged.cli.diagnose:diagnose", "Write an archive for support, without people or secrets."),
    "backup": ("edged.cli.backup:backup", "Back up a hall while it is served."),
    "restore": ("edged.cli.backup:restore", "Restore a backup, here or on another machine."),
    "settle": ("edged.cli.settle:settle", "Before an upgrade: dump the state with the old version."),
    "bundle": ("edged.cli.bundle:bundle", "Make the archive from which a hall is installed offline."),
    "pki": ("edged.cli.pki:app", "Make and renew certificates; see what ends soon."),
    "centre": ("edged.cli.centre:app", "Run a city's centre: keep events, status, reports, rollouts."),
    "completion": (
        "edged.cli.completion:completion",
        "Print the script for completion in bash, zsh or fish.",
    ),
    "manual": ("edged.cli.manual:manual", "Print the manual page in the form of man(1)."),
    "replay": ("edged.cli.replay:replay", "Replay a journal: the same events, the same commands."),
}

HELP = """Edge controller of a government service hall: keeps the queue and runs the tidal "+1" window loop.

政务服务大厅边缘控制器：管理排队，按潮汐自动启用“+1”窗口。
"""

EPILOG = """\b
First steps:
  edged demo                               a hall on this machine, nothing to install
  edged check configs/hall-example.toml    what a configuration looks like, and is it right
  edged COMMAND --help                     options and examples of a command

\b
Exit codes:
  0 yes, done    1 no: refused, degraded, unreachable    2 usage or configuration
  70 a bug       74 the disk     75 journal in use       78 journal of a newer version
"""


class LazyGroup(TyperGroup):
    """A command group that lists commands without importing them; it imports the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, line) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=line, callback=None), name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import and return the command that ``args`` calls."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and load_command(str(name)), rest


def load_command(name: str) -> Any:
    """Import and return the command ``name`` of ``COMMANDS``."""
    module, attribute = COMMANDS[name][0].split(":")
    found = getattr(importlib.import_module(module), attribute)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        single.command(name)(found)
        found = single
    command = typer.main.get_command(found)
    command.name = name
    return command


app = typer.Typer(
    cls=LazyGroup,
    help=HELP,
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: nothing to import, readable on any terminal and in journald
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"edged {version('edged')}")
        raise typer.Exit


@app.callback()
def _edged(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass
