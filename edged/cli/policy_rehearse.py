"""``edged policy rehearse``: simulates recorded days under a policy, as a hall does before it applies one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edged.cli.reading import give_way, progress
from edged.cli.target import fail

if TYPE_CHECKING:
    from edged.central.policies import PolicyDocument
    from edged.core.model.policy import Policy


def rehearse(
    file: Annotated[Path, typer.Argument(help="A policy document or a signed envelope.", metavar="FILE")],
    journal: Annotated[Path, typer.Option("--journal", "-j", help="Journal of the hall, or a copy of it.")],
    against: Annotated[
        Path | None, typer.Option(help="Compare with this policy instead of the one in force in the journal.")
    ] = None,
    days: Annotated[
        int, typer.Option(min=0, max=60, help="How many recorded days; 0: as many as the document says.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object on stdout.")] = False,
) -> None:
    """Simulate a hall's recorded days under a policy. They are compared with the same days under the policy in force,
    as the hall does before it applies one.

    The figures are those of `edged backtest --journal` for the same days and both policies.

    \b
    Exit codes: 0 done, 1 the hall would refuse it (rehearsal.max_worse) or nothing could be rehearsed, 2 wrong usage
    Example:    edged policy rehearse policy.json --journal /var/lib/edged/hall.db --days 20
    """
    from edged.backtest.rehearsal import Pair
    from edged.backtest.rehearsal import rehearse as rehearsed
    from edged.central.policy_model import core_policy
    from edged.central.rehearsed import Missed, objection, sentences, to_json

    document = _document(file)
    terms = document.rehearsal
    before = _in_force(journal) if against is None else core_policy(_document(against).body)
    give_way()
    with progress("rehearsing", as_json) as bar:
        pair = Pair(before, core_policy(document.body))
        found = rehearsed(journal, pair, days or terms.days, progress=bar)
    why = objection(found, terms.max_worse)
    if as_json:
        refused = {} if why is None else {"refused": {"message": why.message, "message_zh": why.message_zh}}
        print(json.dumps(to_json(found) | refused, ensure_ascii=False, indent=1))
    else:
        for language in (1, 0):
            for line in sentences(found):
                typer.echo(line[language])
            if why is not None:
                typer.echo(("REFUSED: " + why.message, "拒绝：" + why.message_zh)[language])
    raise typer.Exit(1 if why is not None or isinstance(found, Missed) else 0)


def _document(file: Path) -> PolicyDocument:
    """Read a policy document; exits if the file is not one."""
    from edged.central.policies import inspect
    from edged.central.refusals import DocumentRefused
    from edged.cli.policy import document_of, print_refusal, read_file

    try:
        return inspect(document_of(read_file(file)), None)
    except DocumentRefused as refusal:
        print_refusal(refusal)
        raise typer.Exit(2) from None


def _in_force(journal: Path) -> Policy:
    """The policy in force in the journal; the built-in one if none was ever applied."""
    from edged.central.policies import reread
    from edged.central.refusals import DocumentRefused
    from edged.core.model.policy import Policy
    from edged.store.database import StoreError
    from edged.store.journal import Journal

    try:
        opened = Journal.open(journal, read_only=True)
        try:
            kept = opened.policies().last_good
        finally:
            opened.close()
        return Policy() if kept is None else reread(kept.envelope, None).policy
    except (OSError, StoreError) as error:
        raise fail(str(error), 2) from None
    except DocumentRefused as refusal:
        raise fail(f"the policy in force in {journal} cannot be read by this version: {refusal}", 2) from None
