"""``edged policy``: what a policy author at the centre needs. Rules of this file:

* A policy is one JSON document (configs/policy-example.json); signed, it is one envelope file.
* Everything can be checked without a hall, by the same code that the hall runs.
* Results are printed in English and in Chinese; exit code 0 applied, 1 refused or no answer, 2 wrong usage.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from edged.cli.json_object import json_object
from edged.cli.policy_explain import explain, names_of, new, sentences
from edged.cli.policy_rehearse import rehearse
from edged.cli.target import Target, fail, find_or_exit

if TYPE_CHECKING:
    from edged.central.audience import Audience
    from edged.central.refusals import DocumentRefused
    from edged.cli.exchange import Conversation
    from edged.core.model.policy import Policy

CHANGES_SHOWN = 40  # lines: a screen
# a hall answers after its commit, in tens of ms; a busy disk and two brokers on the way add to that
REPORT_S = 15.0
VALID_DAYS = 365

app = typer.Typer(
    help="""Make keys; check, sign and push policies; see what is in force.

    \b
    A first policy, from nothing:
      edged policy keygen city                  city.key (keep secret), city.pub.json (to the halls)
      edged policy check policy-example.json    is it well formed, is it sensible
      edged policy push policy-example.json --key city.key --config hall.toml
    With `edged demo` running, the last line is just:
      edged policy push policy-example.json
    """,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Broker = Annotated[str | None, typer.Option(help="mqtt://[USER@]HOST:PORT of the hall's broker.")]
HallId = Annotated[str | None, typer.Option("--hall", help="Id of the hall; with --broker.")]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="hall.toml of the hall: id and broker.")]
Key = Annotated[Path | None, typer.Option("--key", "-k", help="Signing key made by `edged policy keygen`.")]
Algorithm = Annotated[
    Literal["ed25519", "sm2"], typer.Option(help="sm2 needs pip install 'edged[gm]' / 国密算法")
]
MembersS = Annotated[
    float,
    typer.Option(
        help="With --group: seconds to listen for its halls before pushing; 0: until two pass without another."
    ),
]
Document = Annotated[Path, typer.Argument(help="A policy document or a signed envelope.", metavar="FILE")]


app.command("new")(new)
app.command("explain")(explain)
app.command("rehearse")(rehearse)


@app.command()
def keygen(
    name: Annotated[str, typer.Argument(help="Name of the key, e.g. city-2026.")],
    directory: Annotated[Path, typer.Option("--dir", help="Where to write the two files.")] = Path("."),
    algorithm: Algorithm = "ed25519",
) -> None:
    """Make a signing key. NAME.key is secret; NAME.pub.json is for [policy] keys in hall.toml."""
    keyid, secret, public = write_key_pair(name, directory, algorithm)
    typer.echo(f"key {keyid}")
    typer.echo(f"  {secret}   secret: sign with it, keep it off the halls")
    typer.echo(f"  {public}   public: install at the halls as [policy] keys")


def write_key_pair(name: str, directory: Path, algorithm: str) -> tuple[str, Path, Path]:
    """Make NAME.key and NAME.pub.json; returns the key id and both paths. Exits with code 2 if a file exists already or
    the algorithm is not installed.
    """
    import json

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from edged.central.envelope import NEEDS_GM, keyid_of, private_pem, public_entry
    from edged.central.signatures import SM2, new_sm2, public_of, supported

    if algorithm not in supported():
        raise fail(f"{algorithm}: {NEEDS_GM} / 未安装国密支持", 2)
    secret, public = directory / f"{name}.key", directory / f"{name}.pub.json"
    key = new_sm2() if algorithm == SM2 else Ed25519PrivateKey.generate()
    entries = {"keys": [public_entry(public_of(key), name)]}
    try:
        _write_new(secret, private_pem(key), 0o600)
        _write_new(public, (json.dumps(entries, indent=2) + "\n").encode(), 0o644)
    except OSError as error:
        raise fail(f"{error.filename}: {error.strerror}; nothing is overwritten", 2) from None
    return keyid_of(public_of(key).raw), secret, public


@app.command()
def check(file: Document, config: Config = None) -> None:
    """Check a policy document as a hall would. The document may be signed. With --config it must also fit that hall's
    areas, services and windows.

    The signature is not verified here: only the hall knows which keys it trusts.
    """
    from edged.central.policies import inspect
    from edged.central.refusals import DocumentRefused

    payload = document_of(read_file(file))
    try:
        document = inspect(payload, audience_of(config))
    except DocumentRefused as refusal:
        print_refusal(refusal)
        raise typer.Exit(1) from None
    typer.echo(f"{file}: OK: version {document.version} for {', '.join(document.halls)} / 检查通过")
    _print_effect(payload, config)


@app.command()
def reference(
    lang: Annotated[Literal["zh", "en"], typer.Option(help="Language of the texts.")] = "en",
) -> None:
    """Print the reference of a policy. It lists every parameter with values, default and meaning, and is also in
    configs/policy-reference.md.
    """
    from edged.central.policy_schema import policy_schema
    from edged.config.reference import schema_reference

    title = "策略参考" if lang == "zh" else "Reference of a policy"
    typer.echo(schema_reference(title, "edged policy reference", policy_schema(), lang), nl=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a policy document. It is for editors and for the centre's own tools."""
    import json

    from edged.central.policy_schema import policy_schema

    typer.echo(json.dumps(policy_schema(), ensure_ascii=False, indent=2))


@app.command()
def sign(
    file: Document,
    key: Annotated[Path, typer.Option("--key", "-k", help="Signing key made by `edged policy keygen`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the envelope.")],
    version: Annotated[int | None, typer.Option(help="Use this version instead of the document's.")] = None,
    config: Config = None,
) -> None:
    """Check and sign a policy document. The signed envelope can be pushed later by any program."""
    raw = _signed(_renewed(read_file(file), version, None), key, audience_of(config))
    write_out(out, raw)
    typer.echo(f"{out}: signed, {len(raw)} bytes")


@app.command()
def push(
    file: Document,
    key: Key = None,
    broker: Broker = None,
    hall: HallId = None,
    config: Config = None,
    group: Annotated[str | None, typer.Option(help="Push to all halls of this city group.")] = None,
    halls: Annotated[str, typer.Option(help="Push to these halls of a city: ids, with commas.")] = "",
    retain: Annotated[bool, typer.Option(help="Leave it at the broker for halls that are away.")] = False,
    wait_s: Annotated[float, typer.Option(help="Seconds to wait for the hall's answer.")] = REPORT_S,
    members_s: MembersS = 0.0,
) -> None:
    """Push a policy to a hall and wait for its report. With --halls or --group it goes to many halls.

    A signed envelope is sent as it is. A plain document is signed first with --key (or the running demo's own key); it
    gets the next version number, and today's dates if it has none.

    \b
    Examples: edged policy push policy-example.json                          to the running demo
              edged policy push signed.json --config /etc/edged/hall.toml
              edged policy push policy.json -k city.key --broker mqtt://10.0.0.5 --hall east
              edged policy push policy.json -k city.key --broker mqtt://city-1 --group river-city
    """
    if halls or group is not None:
        _push_to_many(file, key, (broker, hall, config), (halls, group, retain, wait_s, members_s))
    from edged.central import topics
    from edged.cli.exchange import NoAnswer, conversation

    target = find_or_exit(broker, hall, config)
    try:
        with conversation(target, [topics.policy_report(target.hall)]) as talk:
            raw = read_file(file)
            if not is_envelope(raw):
                raw = _sign_for(target, raw, key, _highest_version(talk) + 1)
            _print_effect(document_of(raw), config, err=True)
            talk.publish(topics.policy_push(target.hall), raw, retain=retain)
            report = _answer(talk, raw, wait_s)
    except NoAnswer as error:
        raise fail(str(error)) from None
    if report is None:
        raise fail(
            f'pushed; hall "{target.hall}" did not answer within {wait_s:g} s: is it running, and is the id right? '
            "/ 已推送，但大厅没有回应"
        )
    _print_report(report)
    raise typer.Exit(0 if report["state"] in ("applied", "staged") else 1)


@app.command()
def status(broker: Broker = None, hall: HallId = None, config: Config = None) -> None:
    """Show which policy a hall has. Desired and applied version, and why they differ.

    Exit code 1: the last policy was rejected, the present one has expired, or the hall has reported none.
    """
    from edged.central import topics
    from edged.cli.exchange import NoAnswer, conversation

    target = find_or_exit(broker, hall, config)
    try:
        with conversation(target, [topics.policy_report(target.hall)]) as talk:
            report = next((message.body for message in talk.receive(2.0)), None)
    except NoAnswer as error:
        raise fail(str(error)) from None
    if not report:
        raise fail(f'hall "{target.hall}" never reported a policy to this broker / 没有策略报告')
    _print_report(report)
    raise typer.Exit(1 if report.get("state") == "rejected" or report.get("expired") else 0)


def _push_to_many(
    file: Path,
    key: Path | None,
    where: tuple[str | None, str | None, Path | None],
    what: tuple[str, str | None, bool, float, float],
) -> NoReturn:
    """Push a policy to many halls, print each answer and exit: 0 if all accepted it, 1 otherwise.

    ``where``: broker, hall, config; ``what``: halls, group, retain, wait_s, members_s.
    """
    from dataclasses import replace

    from edged.central import topics
    from edged.central.policies import claimed
    from edged.cli import fleet
    from edged.cli.exchange import NoAnswer, conversation

    halls, group, retain, wait_s, members_s = what
    named = tuple(one for one in halls.split(",") if one)
    if named and group is not None:
        raise fail("give --halls or --group, not both", 2)
    broker, hall, config = where
    target = find_or_exit(broker, hall or (named[0] if named else "city"), config)
    try:
        with conversation(target, fleet.filters()) as talk:
            found = fleet.find_halls(talk, named, group, members_s=members_s)
            if not found.halls:
                raise fail(f'no hall at this broker says that it is of group "{group}" / 没有大厅属于该分组')
            raw = read_file(file)
            if not is_envelope(raw):
                meant = [f"group:{group}"] if group is not None else list(named)
                raw = _sign_for(
                    replace(target, hall=meant[0]), _meant_for(raw, meant), key, found.version + 1
                )
            ours = claimed(raw)
            sha256 = "" if ours is None else str(ours["sha256"])
            if group is not None:
                talk.publish(topics.group_policy_push(group), raw, retain=retain)
            for one in named:
                talk.publish(topics.policy_push(one), raw, retain=retain)
            typer.echo(f"version {ours['version'] if ours else '?'} to {len(found.halls)} halls / 已推送")
            well = fleet.follow(talk, found, sha256, wait_s, group=group)
    except NoAnswer as error:
        raise fail(str(error)) from None
    raise typer.Exit(0 if well else 1)


def sign_for_halls(raw: bytes, key: Path, halls: list[str], version: int) -> bytes:
    """Sign a plain document as version ``version``; it is addressed to ``halls`` unless it names halls itself."""
    return _sign_for(Target(halls[0]), _meant_for(raw, halls), key, version)


def _meant_for(raw: bytes, halls: list[str]) -> bytes:
    """The document, addressed to these halls unless it names halls itself."""
    import json

    document = json_object(raw)
    if not document or "halls" in document:
        return raw
    return json.dumps({**document, "halls": halls}, ensure_ascii=False).encode()


def _sign_for(target: Target, raw: bytes, key: Path | None, version: int) -> bytes:
    if key is None and target.signing_key is not None:
        key = Path(target.signing_key)
    if key is None:
        raise fail("this is an unsigned document: give --key, or sign it first with `edged policy sign`", 2)
    return _signed(_renewed(raw, version, target), key, None)


def _renewed(raw: bytes, version: int | None, target: Target | None) -> bytes:
    """The document with ``version`` (None: its own) and default values for the fields it lacks, without the keys that
    only editors need. Dates are by the hall's clock if ``target`` is given.

    Broken JSON is returned unchanged: the check refuses it.
    """
    import json
    from datetime import UTC, datetime, timedelta

    from edged.central.envelope import ENVELOPE_BYTES_MAX
    from edged.central.policies import TYPE
    from edged.clock import wall_ms
    from edged.strict_json import NotStrictJson, parse_document

    try:
        document = parse_document(raw, ENVELOPE_BYTES_MAX)
    except NotStrictJson:
        return raw
    now_ms = wall_ms() if target is None else target.clock().wall_ms()
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    filled: dict[str, Any] = {
        "type": TYPE,
        "halls": [target.hall] if target is not None else None,
        "not_before": now.isoformat(),
        "expires": (now + timedelta(days=VALID_DAYS)).isoformat(),
    }
    document = {name: value for name, value in filled.items() if value is not None} | document
    document.pop("$schema", None)  # an editor's hint, not a part of the policy
    if version is not None:
        document["version"] = version
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _signed(payload: bytes, key: Path, audience: Audience | None) -> bytes:
    from edged.central.policies import PAYLOAD_TYPE, inspect

    return signed(payload, PAYLOAD_TYPE, key, lambda: inspect(payload, audience))


def signed(payload: bytes, payload_type: str, key: Path, check: Callable[[], object]) -> bytes:
    """Sign ``payload`` with the private key file ``key`` if ``check`` accepts it; returns the envelope. Exits if
    ``check`` raises ``DocumentRefused`` (the reasons are printed) or the key cannot be used.
    """
    from edged.central.envelope import KeyFileError, load_private
    from edged.central.envelope import sign as sign_payload
    from edged.central.refusals import DocumentRefused

    try:
        check()
        return sign_payload(payload, payload_type, load_private(key))
    except KeyFileError as error:
        raise fail(str(error), 2) from None
    except DocumentRefused as refusal:
        print_refusal(refusal)
        raise fail("not signed, because every hall would refuse it / 未签名") from None


def write_out(out: Path, raw: bytes) -> None:
    """Write what was signed; exits with code 2 if it cannot be written."""
    try:
        out.write_bytes(raw)
    except OSError as error:
        raise fail(f"{out}: {error.strerror}", 2) from None


def _highest_version(talk: Conversation) -> int:
    """The highest policy version, applied or desired, in the hall's retained report; 0 without a report."""
    for message in talk.receive(1.0):
        report = message.body
        named = [report.get("applied"), report.get("desired")]
        return max((int(one.get("version", 0)) for one in named if isinstance(one, dict)), default=0)
    return 0


def _answer(talk: Conversation, raw: bytes, wait_s: float) -> dict[str, Any] | None:
    """Wait for the hall's report on this push (the envelope ``raw``), up to ``wait_s`` and ``REHEARSAL_S`` more if the
    hall says that it is rehearsing the policy. Retained reports are ignored, because they are older. None: no report in
    time.
    """
    from edged.central.policies import claimed
    from edged.cli import fleet

    ours = claimed(raw)
    for seconds in (wait_s, fleet.REHEARSAL_S):
        for message in talk.receive(seconds):
            report = message.body
            desired = report.get("desired")
            sha256 = desired.get("sha256") if isinstance(desired, dict) else None
            if (
                message.retain
                or not (sha256 == ours["sha256"] if ours else sha256 is None)
                or "state" not in report
            ):
                continue
            if report["state"] != "rehearsing":
                return report
            typer.echo("the hall rehearses it on its recorded days … / 大厅正在用历史数据预演……", err=True)
            break
        else:
            return None
    return None


def _print_report(report: dict[str, Any]) -> None:
    applied, desired = report.get("applied") or {}, report.get("desired") or {}
    words = {
        "applied": "applied / 已生效",
        "rejected": "REFUSED / 已拒绝",
        "staged": "waiting for its date / 待生效",
        "rehearsing": "being rehearsed / 预演中",
        "rolled-back": "ROLLED BACK / 已退回",
    }
    typer.echo(f"version {desired.get('version', '?')}: {words.get(str(report['state']), report['state'])}")
    reason = report.get("reason")
    if isinstance(reason, dict):
        path = f"{reason.get('path')}: " if reason.get("path") else ""
        typer.echo(f"  {path}{reason.get('message')} [{reason.get('code')}]")
        typer.echo(f"  {path}{reason.get('message_zh')}")
    if "rehearsal" in report:
        _print_rehearsal(report["rehearsal"])
    if report.get("left_out"):
        _print_left_out(report["left_out"])
    if desired != applied:
        typer.echo(f"  in force: version {applied.get('version', '?')} / 现行版本")
    if report.get("expired"):
        typer.echo("  the policy in force has expired; it stays in force / 现行策略已过期，继续沿用")


def _print_left_out(names: list[str]) -> None:
    """Print which areas, services and windows named in the policy do not exist in the hall."""
    from edged.central.addressing import Unmet
    from edged.central.policy_changes import left_out

    typer.echo(f"  {left_out([Unmet('', str(name)) for name in names])}")


def _print_rehearsal(report: Any) -> None:
    """Print the result of a rehearsal (simulated days), in both languages. ``report``: that part of the hall's report;
    nothing is printed if another version of the program made it.
    """
    from edged.central.rehearsed import BadMessage, of_report, sentences

    try:
        lines = sentences(of_report(report))
    except BadMessage:
        return
    for language in (0, 1):
        for line in lines:
            typer.echo(f"  {line[language]}")


def print_refusal(refusal: DocumentRefused) -> None:
    """Print why a document is refused, in both languages."""
    for one in refusal.reasons:
        path = f"{one.path}: " if one.path else ""
        typer.echo(f"{path}{one.message} [{one.code}]", err=True)
        typer.echo(f"{path}{one.message_zh}", err=True)


def _print_effect(payload: bytes, config: Path | None, err: bool = False) -> None:
    """Print what a policy document does to the hall of ``config``: the areas, services and windows in it that this hall
    lacks, the sections that stay at built-in values, characters that the hall's boards cannot show, and the differences
    from the policy in force if the journal can be read. Without ``config`` only the sections are printed.

    ``err``: print on stderr. Prints nothing for a document that a hall would refuse.
    """
    from edged.central.policies import inspect, of_hall
    from edged.central.policy_changes import built_in_sections, changes, left_out
    from edged.central.refusals import DocumentRefused

    audience = audience_of(config)
    try:
        found = of_hall(inspect(payload, None), None if audience is None else audience.names)
    except DocumentRefused:
        return  # the hall reports why
    after, without = found.policy, left_out(found.unmet)
    if without is not None:
        typer.echo(f"  {without}", err=err)
    sections = built_in_sections(after)
    if sections:
        typer.echo(f"  built-in values for / 采用内置值：{', '.join(sections)}", err=err)
    _print_unshown(after, config, err)
    before = None if config is None else _in_force(config)
    if before is None:
        return
    changed = changes(before, after, names_of(config))
    typer.echo(f"  changes of what is in force / 与现行策略的差异：{len(changed) or 'none 无'}", err=err)
    for language in (1, 0):
        for line in sentences(changed[:CHANGES_SHOWN], language):
            typer.echo(f"    {line}", err=err)
    if len(changed) > CHANGES_SHOWN:
        typer.echo(f"    and {len(changed) - CHANGES_SHOWN} more", err=err)


def _print_unshown(after: Policy, config: Path | None, err: bool) -> None:
    """Print the characters of the policy's texts that the font of a board in the hall of ``config`` lacks."""
    from dataclasses import asdict

    from edged.config import ConfigErrors, load

    if config is None:
        return
    try:
        fonts = {board.font for board in load(config).site.boards if board.font}
    except ConfigErrors:
        return  # reported above, or checked by the hall itself
    used = dict.fromkeys("".join(_texts(asdict(after))))
    missing = "".join(char for char in used if any(not char.encode(font, "ignore") for font in fonts))
    if missing:
        typer.echo(
            f'  a board\'s font lacks, and shows "?" for / 显示屏字库没有、将显示为“?”的字：{missing}',
            err=err,
        )


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _in_force(config: Path) -> Policy | None:
    """The policy in force according to the hall's journal; None if the journal is not on this machine or cannot be
    read.
    """
    from edged.central.addressing import local
    from edged.central.audience import Names
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
            return None
        journal = Journal.open(path, read_only=True)
        try:
            kept = journal.policies().last_good
        finally:
            journal.close()
        in_force = Policy() if kept is None else reread(kept.envelope, None).policy
        return local(in_force, Names.of(hall.site)).policy
    except (ConfigErrors, OSError, StoreError, DocumentRefused):
        return None


def audience_of(config: Path | None) -> Audience | None:
    """The hall that a document must fit; None without a hall.toml. Exits with code 2 if hall.toml is wrong."""
    from edged.central.audience import Audience, Names
    from edged.config import ConfigErrors, load

    if config is None:
        return None
    try:
        hall = load(config)
    except ConfigErrors as errors:
        for line in errors.lines:
            typer.echo(line, err=True)
        raise typer.Exit(2) from None
    return Audience(hall.hall, hall.policy.group, Names.of(hall.site))


def document_of(raw: bytes) -> bytes:
    """The document inside an envelope, unverified; or a plain document without the keys that only editors need, default
    values added.
    """
    from edged.central.envelope import opened_unverified

    return opened_unverified(raw) if is_envelope(raw) else _renewed(raw, None, None)


def is_envelope(raw: bytes) -> bool:
    """Whether a file holds a signed envelope, and not a plain document."""
    return "payloadType" in json_object(raw)


def read_file(file: Path) -> bytes:
    """Read a document or envelope; exits with code 2 if it cannot be read."""
    from edged.central.envelope import ENVELOPE_BYTES_MAX
    from edged.central.policy_text import uncommented

    try:
        with file.open("rb") as stream:
            return uncommented(stream.read(4 * ENVELOPE_BYTES_MAX))[: ENVELOPE_BYTES_MAX + 1]
    except OSError as error:
        raise fail(f"{file}: {error.strerror}", 2) from None


def _write_new(file: Path, data: bytes, mode: int) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)
