"""``edged policy explain`` and ``edged policy new``: a policy in sentences, and a draft to start from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edged.cli.target import fail

if TYPE_CHECKING:
    from edged.central.audience import Names
    from edged.central.policies import PolicyDocument
    from edged.central.policy_changes import Change, PlaceNames, Words
    from edged.core.model.policy import Policy

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="hall.toml of the hall: names, and its journal.")
]
File = Annotated[Path, typer.Argument(help="A policy document or a signed envelope.", metavar="FILE")]


def explain(
    file: File,
    other: Annotated[Path | None, typer.Argument(help="Compared with this one.", metavar="[OTHER]")] = None,
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object on stdout.")] = False,
) -> None:
    """Explain in sentences what a policy does. With OTHER: how it differs from that one.

    Values equal to the built-in ones are left out. With --config, areas, services and windows are shown by their names,
    and parts of the policy that do not concern that hall are left out.

    \b
    Exit codes: 0 done, 2 not a policy
    Example:    edged policy explain new.json old.json --config hall.toml
    """
    from edged.backtest.candidates import Candidate
    from edged.backtest.study import rule_in_force
    from edged.central.policies import of_hall
    from edged.central.policy_changes import Words, changes, changes_from_built_in, left_out

    document, names, here = document_in(file), names_of(config), _of_hall(config)
    made = of_hall(document, here)
    if other is None:
        found = changes_from_built_in(made.policy, names)
        rule = rule_in_force(Candidate("", made.policy))
        first = [Words(rule["en"], rule["zh"]), *_terms(document)]
    else:
        found = changes(of_hall(document_in(other), here).policy, made.policy, names)
        title = Words(f"in {file.name} and not in {other.name}: ", f"{file.name} 与 {other.name} 的差异：")
        first = [Words(f"{title.en}{len(found)}", f"{title.zh}{len(found)}处")]
    first += filter(None, [left_out(made.unmet)])
    if as_json:
        listed = [{"path": one.path, "en": one.words.en, "zh": one.words.zh} for one in found]
        print(json.dumps(listed, ensure_ascii=False, indent=1))
        return
    for language in (1, 0):
        for one in first:
            typer.echo(one[language])
        for line in sentences(found, language):
            typer.echo(f"  {line}")


def new(
    config: Config = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="Start from this document instead of what is in force.")
    ] = None,
    hall: Annotated[
        str | None, typer.Option(help="Id of the hall, or group:NAME; else that of hall.toml.")
    ] = None,
    version: Annotated[int, typer.Option(min=0, help="Version of the draft; 0: one more than in force.")] = 0,
) -> None:
    """Print a draft of a policy, with notes. It holds every value of a policy, with its meaning and range.

    The policy is that of --from, or the one in force in the journal of the hall of --config, or the built-in one.

    Lines that begin with // are notes; check, sign, push and rehearse leave them out.

    \b
    Exit codes: 0 done, 2 no journal or document
    Example:    edged policy new --config hall.toml > policy.json
    """
    from edged.central.policy_model import core_policy
    from edged.central.policy_text import draft
    from edged.core.model.policy import Policy

    if start is not None:
        document = document_in(start)
        policy, found, whose = core_policy(document.body), document.version, document.halls[0]
    elif config is not None:
        policy, found, whose = _in_force(config)
    else:
        policy, found, whose = Policy(), 0, "hall"
    typer.echo(draft(policy, version or found + 1, hall or whose), nl=False)


def sentences(found: Sequence[Change], language: int) -> list[str]:
    """Format each change as one line, followed by its path in the document; ``language``: 0 English, 1 Chinese."""
    return [f"{one.words[language]}  [{one.path}]" for one in found]


def document_in(file: Path) -> PolicyDocument:
    """Read a policy document; exits if the file is not one."""
    from edged.central.policies import inspect
    from edged.central.refusals import DocumentRefused
    from edged.cli.policy import document_of, print_refusal, read_file

    try:
        return inspect(document_of(read_file(file)), None)
    except DocumentRefused as refusal:
        print_refusal(refusal)
        raise typer.Exit(2) from None


def names_of(config: Path | None) -> PlaceNames:
    """Names of the hall's areas, services and windows; their ids without a readable hall.toml."""
    from edged.central.policy_changes import PlaceNames
    from edged.config import ConfigErrors, load

    try:
        return PlaceNames(None if config is None else load(config).site)
    except ConfigErrors:
        return PlaceNames()


def _of_hall(config: Path | None) -> Names | None:
    """The names that exist in the hall of ``config``; None without a readable hall.toml."""
    from edged.central.audience import Names
    from edged.config import ConfigErrors, load

    try:
        return None if config is None else Names.of(load(config).site)
    except ConfigErrors:
        return None


def _terms(document: PolicyDocument) -> list[Words]:
    from edged.central.policy_changes import Words

    terms = document.rehearsal
    english = f"Rehearsed on {terms.days} recorded days before it comes into force"
    chinese = f"生效前用历史{terms.days}天预演"
    if terms.max_worse is None:
        return [Words(english, chinese)]
    return [
        Words(
            f"{english}; refused where waits would be more than {terms.max_worse} % worse",
            f"{chinese}；等候变差超过{terms.max_worse}%则拒绝",
        )
    ]


def _in_force(config: Path) -> tuple[Policy, int, str]:
    """The policy in force (the built-in one if none was applied), the highest version that the hall has had, and the
    hall's id. Exits with code 2 if hall.toml or the journal cannot be read.
    """
    from edged.central.policies import reread
    from edged.central.refusals import DocumentRefused
    from edged.config import ConfigErrors, load
    from edged.core.model.policy import Policy
    from edged.store.database import StoreError
    from edged.store.journal import Journal

    try:
        hall = load(config)
        path = Path(hall.store.path)
        if not path.is_file():
            return Policy(), 0, hall.hall
        journal = Journal.open(path, read_only=True)
        try:
            kept = journal.policies()
        finally:
            journal.close()
        if kept.last_good is None:
            return Policy(), kept.high_water, hall.hall
        found = reread(kept.last_good.envelope, None)
        return found.policy, max(found.version, kept.high_water), hall.hall
    except ConfigErrors as errors:
        raise fail("; ".join(errors.lines), 2) from None
    except (OSError, StoreError, DocumentRefused) as error:
        raise fail(str(error), 2) from None
