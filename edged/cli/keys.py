"""``edged keys``: edits, signs and sends the city's list of keys: which keys may sign policies and orders for its
halls. Only a root key can sign the list.

Rules of this file: the unsigned list is one JSON document, which ``add`` and ``revoke`` edit; ``sign`` makes one signed
file (envelope) of it for the halls. Results are told in English and Chinese; exit code 0 done, 1 refused, no answer or
something ends soon, 2 wrong usage.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edged.cli.policy import Algorithm, MembersS, signed, write_key_pair, write_out
from edged.cli.target import fail, find_or_exit

if TYPE_CHECKING:
    from edged.central.key_list import KeyListDocument

KEY_DAYS = 400
LIST_DAYS = 400
WARN_DAYS = 30
WAIT_S = 15.0
DAY_MS = 86_400_000

app = typer.Typer(
    help="""Say which keys may sign for the halls of a city: make a root key, keep the list, push it.

    \b
    Once:      edged keys root city-root                 city-root.key into a safe, city-root.pub.json to the halls
               edged policy keygen city-2027             a key that is used every day
    The list:  edged keys add keys.json city-2027.pub.json --group river-city --scope policies --scope operations
               edged keys revoke keys.json city-2026 --reason "laptop stolen"
               edged keys sign keys.json --root city-root.key --out keys.dsse.json
               edged keys show keys.dsse.json            in words; exit 1 where something ends within 30 days
    Push it:   edged keys push keys.dsse.json --broker mqtts://operator@city-1 --group river-city
    """,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
ListFile = Annotated[Path, typer.Argument(help="The list, a JSON document.", metavar="LIST")]
Broker = Annotated[str | None, typer.Option(help="mqtt://[USER@]HOST:PORT of the broker.")]
HallId = Annotated[str | None, typer.Option("--hall", help="Id of the hall; with --broker.")]
Config = Annotated[Path | None, typer.Option("--config", "-c", help="hall.toml of the hall: id and broker.")]
Halls = Annotated[str, typer.Option(help="These halls: ids, with commas.")]
Group = Annotated[str | None, typer.Option(help="All halls of this city group.")]


@app.command()
def root(
    name: Annotated[str, typer.Argument(help="Name of the root key, e.g. city-root.")],
    directory: Annotated[Path, typer.Option("--dir", help="Where to write the two files.")] = Path("."),
    algorithm: Algorithm = "ed25519",
) -> None:
    """Make a root key, which signs lists of keys and nothing else.

    It writes NAME.key (keep it in a safe) and NAME.pub.json (for [policy] root in hall.toml).
    Make two, keep them in two places, and put both entries into the file that goes to the halls: either can sign the
    list, so that nobody has to visit every hall if one is lost.
    """
    keyid, secret, public = write_key_pair(name, directory, algorithm)
    typer.echo(f"root key {keyid} / 根密钥")
    typer.echo(
        f"  {secret}   secret: signs key lists; into a safe, not on a hall / 离线保管，不要放在大厅主机上"
    )
    typer.echo(f"  {public}   public: install at the halls as [policy] root / 安装到各大厅")


@app.command()
def add(
    file: ListFile,
    public: Annotated[Path, typer.Argument(help="NAME.pub.json of the key.", metavar="PUBLIC")],
    scope: Annotated[
        list[str],
        typer.Option(help='"policies", "operations" (all), "operations:NAME", "duty"; may be repeated.'),
    ],
    days: Annotated[int, typer.Option(min=1, max=3650, help="Days for which it may sign.")] = KEY_DAYS,
    begins: Annotated[str | None, typer.Option("--from", help="YYYY-MM-DD (UTC); else now.")] = None,
    halls: Halls = "",
    group: Group = None,
) -> None:
    """Put a key on the list, or change its scopes and dates.

    A new list needs --group or --halls.
    """
    from edged.central.operations import OPERATIONS

    for one in scope:
        operation = one.partition(":")[2]
        if operation and operation not in OPERATIONS:
            raise fail(f'there is no operation "{operation}"; `edged op list` prints all / 没有这种操作', 2)
    made = _read(file) if file.exists() else _new(halls, group)
    starts, ends = _dates(days, begins)
    for entry in _public_entries(public):
        fresh = entry | {"scopes": scope, "not_before": starts, "not_after": ends}
        if any(one["keyid"] == entry["keyid"] for one in made["revoked"]):
            raise fail(f"{entry['name']} is revoked: make a new key / 该密钥已吊销，请生成新密钥", 2)
        made["keys"] = [one for one in made["keys"] if one["keyid"] != entry["keyid"]] + [fresh]
        typer.echo(f"{entry['name']} ({entry['keyid']}): {', '.join(scope)}, until {ends} / 已列入清单")
    _write(file, made)


@app.command()
def revoke(
    file: ListFile,
    who: Annotated[str, typer.Argument(help="Name or id of a key of the list, or its NAME.pub.json.")],
    reason: Annotated[str, typer.Option(help="Why; halls show it.")],
) -> None:
    """Revoke a key.

    What it signs is refused from the moment the halls have the list.
    """
    made = _read(file)
    gone = [one for one in made["keys"] if who in (one["name"], one["keyid"])]
    if not gone and Path(who).is_file():
        gone = _public_entries(Path(who))
    if not gone:
        raise fail(f"{who}: no key of {file} and no file / 清单中没有该密钥", 2)
    for one in gone:
        made["keys"] = [key for key in made["keys"] if key["keyid"] != one["keyid"]]
        made["revoked"] = [key for key in made["revoked"] if key["keyid"] != one["keyid"]]
        kept = {name: one[name] for name in ("name", "keyid", "public", "algorithm") if name in one}
        made["revoked"].append(kept | {"reason": reason})
        typer.echo(
            f"{one['name']} ({one['keyid']}): revoked, sign and push the list / 已吊销，请签名并推送清单"
        )
    if not made["keys"]:
        typer.echo("no key is left: add one before you sign / 清单已空，请先列入新密钥", err=True)
    _write(file, made)


@app.command()
def sign(
    file: ListFile,
    root_key: Annotated[Path, typer.Option("--root", help="Secret root key made by `edged keys root`.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the envelope.")],
    days: Annotated[
        int, typer.Option(min=1, max=3650, help="Days until it expires; halls alarm from a month before.")
    ] = LIST_DAYS,
    version: Annotated[
        int | None, typer.Option(min=1, help="Instead of the next one; halls take only higher ones.")
    ] = None,
) -> None:
    """Sign the list with a root key. Its version goes up by one, in LIST too: keep that file.

    If LIST was lost and made anew, give --version: one more than `edged keys status` shows.
    """
    import json

    from edged.central.key_list import PAYLOAD_TYPE, inspect

    made = _read(file)
    made["not_before"], made["expires"] = _dates(days, None)
    made["version"] = version or made["version"] + 1
    payload = json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode()
    raw = signed(payload, PAYLOAD_TYPE, root_key, lambda: inspect(payload))
    write_out(out, raw)
    _write(file, made)
    typer.echo(f"{out}: version {made['version']}, {len(raw)} bytes / 已签名")


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A list, signed or not.", metavar="FILE")],
    root_public: Annotated[
        Path | None, typer.Option("--root", help="NAME.pub.json: check that one of them signed it.")
    ] = None,
) -> None:
    """Say in words what the keys of a list may sign, and until when. Exit 1: a signature is not good, or something ends
    within 30 days.
    """
    from edged.central.envelope import KeyFileError, load_keys, verify
    from edged.central.key_list import PAYLOAD_TYPE, inspect
    from edged.central.refusals import DocumentRefused
    from edged.cli.policy import document_of, is_envelope, print_refusal, read_file

    raw = read_file(file)
    try:
        if root_public is not None:
            keyid = verify(raw, PAYLOAD_TYPE, load_keys(root_public)).keyid
            typer.echo(f"signed by root key {keyid} / 根密钥签名有效")
        document = inspect(document_of(raw) if is_envelope(raw) else raw)
    except KeyFileError as error:
        raise fail(str(error), 2) from None
    except DocumentRefused as refusal:
        print_refusal(refusal)
        raise typer.Exit(1) from None
    raise typer.Exit(1 if _print_list(document) else 0)


@app.command()
def push(
    file: Annotated[Path, typer.Argument(help="What `edged keys sign` wrote.", metavar="SIGNED")],
    broker: Broker = None,
    hall: HallId = None,
    config: Config = None,
    halls: Halls = "",
    group: Group = None,
    retain: Annotated[bool, typer.Option(help="Leave it at the broker for halls that are away.")] = True,
    wait_s: Annotated[float, typer.Option(help="Seconds to wait for each hall's answer.")] = WAIT_S,
    members_s: MembersS = 0.0,
) -> None:
    """Push a signed list and follow the halls.

    Each hall is followed until it has the list, or says why not.
    """
    from edged.central import topics
    from edged.central.policies import claimed
    from edged.cli import fleet
    from edged.cli.exchange import NoAnswer, conversation
    from edged.cli.policy import is_envelope, read_file

    named = tuple(one for one in halls.split(",") if one)
    if named and group is not None:
        raise fail("give --halls or --group, not both", 2)
    target = find_or_exit(broker, hall or (named[0] if named else "city" if group else None), config)
    named = named or (() if group is not None else (target.hall,))
    raw = read_file(file)
    ours = claimed(raw)
    if not is_envelope(raw) or ours is None:
        raise fail(f"{file}: not signed; `edged keys sign` first / 尚未签名", 2)
    try:
        with conversation(target, fleet.filters(topics.KEYS_REPORT)) as talk:
            found = fleet.find_halls(talk, named, group, topics.KEYS_REPORT, members_s)
            if not found.halls:
                raise fail(f'no hall at this broker says that it is of group "{group}" / 没有大厅属于该分组')
            if group is not None:
                talk.publish(topics.group_keys_push(group), raw, retain=retain)
            for one in named:
                talk.publish(topics.keys_push(one), raw, retain=retain)
            typer.echo(f"key list version {ours['version']} to {len(found.halls)} halls / 已推送密钥清单")
            well = fleet.follow(talk, found, str(ours["sha256"]), wait_s, topics.KEYS_REPORT, group)
    except NoAnswer as error:
        raise fail(str(error)) from None
    if not well:
        typer.echo(
            "a hall without [policy] root in hall.toml takes no list and does not answer / "
            "未配置 [policy] root 的大厅不接收清单",
            err=True,
        )
    raise typer.Exit(0 if well else 1)


@app.command()
def status(
    broker: Broker = None, hall: HallId = None, config: Config = None, halls: Halls = "", group: Group = None
) -> None:
    """Say which list each hall holds. Exit 1: a hall refused the newest, or has reported none."""
    from edged.central import topics
    from edged.cli import fleet
    from edged.cli.exchange import NoAnswer, conversation

    named = tuple(one for one in halls.split(",") if one)
    target = find_or_exit(broker, hall or (named[0] if named else "city" if group else None), config)
    named = named or (() if group is not None else (target.hall,))
    try:
        with conversation(target, fleet.filters(topics.KEYS_REPORT)) as talk:
            reports = fleet.last_reports(talk, named, group, topics.KEYS_REPORT)
    except NoAnswer as error:
        raise fail(str(error)) from None
    for one, report in reports.items():
        _print_report(one, report)
    good = reports and all(report.get("state") == "applied" for report in reports.values())
    raise typer.Exit(0 if good else 1)


def _print_report(hall: str, report: dict[str, Any]) -> None:
    applied = report.get("applied") or {}
    if not applied:
        typer.echo(f"{hall}: never said which key list it holds / 没有密钥清单报告")
    elif not applied.get("version"):
        typer.echo(
            f"{hall}: no key list, the keys of its hall.toml count / 无密钥清单，沿用 hall.toml 中的公钥"
        )
    else:
        typer.echo(
            f"{hall}: key list version {applied['version']}, until {report.get('expires')} / 现行密钥清单"
        )
    if report.get("passed_over"):
        passed = ", ".join(report["passed_over"])
        typer.echo(f"  this hall does not know the algorithm of / 本大厅不支持其算法：{passed}")
    if report.get("state") == "rejected":
        why = report.get("reason") or {}
        desired = (report.get("desired") or {}).get("version", "?")
        typer.echo(f"  version {desired}: REFUSED / 已拒绝：{why.get('message')} [{why.get('code')}]")
        typer.echo(f"  {why.get('message_zh')}")


def _print_list(document: KeyListDocument) -> bool:
    """Print the keys of a list; returns whether the list or a key on it has ended or ends within ``WARN_DAYS``."""
    from edged.central.audience import epoch_ms
    from edged.central.signatures import supported
    from edged.clock import wall_ms

    now_ms, soon = wall_ms(), False
    typer.echo(f"key list version {document.version} for {', '.join(document.halls)} / 密钥清单")
    for name, ends, scopes in (
        ("the list / 清单", document.expires, ""),
        *(
            (f"{one.name} ({one.keyid})", one.not_after, "; ".join(_scope(scope) for scope in one.scopes))
            for one in document.keys
        ),
    ):
        days = (epoch_ms(ends) - now_ms) // DAY_MS
        ending = days < WARN_DAYS
        soon = soon or ending
        left = "ENDED / 已到期" if days < 0 else f"{days} days left / 剩余 {days} 天"
        typer.echo(f"  {name}: until {ends}, {left}{' <- renew / 请续期' if ending else ''}")
        if scopes:
            typer.echo(f"    may sign / 可签发：{scopes}")
    for key in document.keys:
        if epoch_ms(key.not_before) > now_ms:
            typer.echo(f"  {key.name}: not before {key.not_before} / 尚未生效")
        if key.algorithm not in supported():
            typer.echo(f"  {key.name}: {key.algorithm} is not known here / 本机不支持该算法")
    for gone in document.revoked:
        typer.echo(f"  {gone.name} ({gone.keyid}): REVOKED / 已吊销：{gone.reason}")
    return soon


def _scope(scope: str) -> str:
    words = {
        "policies": "policies 策略",
        "operations": "every operation 全部操作",
        "duty": "what [duty] operations of a hall says 值班台操作",
    }
    return words.get(scope) or f"operation {scope.partition(':')[2]} 操作"


def _dates(days: int, begins: str | None) -> tuple[str, str]:
    from datetime import UTC, datetime, timedelta

    from edged.clock import wall_ms

    try:
        first = (
            datetime.fromtimestamp(wall_ms() // 1000, UTC)
            if begins is None
            else datetime.strptime(begins, "%Y-%m-%d").replace(tzinfo=UTC)
        )
        return first.isoformat(), (first + timedelta(days=days)).isoformat()
    except (ValueError, OverflowError):
        raise fail(f"--from {begins}: not a date YYYY-MM-DD", 2) from None


def _new(halls: str, group: str | None) -> dict[str, Any]:
    named = [one for one in halls.split(",") if one] + ([f"group:{group}"] if group is not None else [])
    if not named:
        raise fail("a new list needs --group or --halls: for whom is it? / 新清单需要 --group 或 --halls", 2)
    return {"type": "keys", "halls": named, "version": 0, "keys": [], "revoked": []}


def _read(file: Path) -> dict[str, Any]:
    """Read an unsigned key list; exits with code 2 if it is none. Only the fields used here are checked, the rest when
    it is signed.
    """
    from edged.central.envelope import ENVELOPE_BYTES_MAX
    from edged.strict_json import NotStrictJson, parse_document

    try:
        with file.open("rb") as stream:
            made = parse_document(stream.read(ENVELOPE_BYTES_MAX + 1), ENVELOPE_BYTES_MAX)
    except OSError as error:
        raise fail(f"{file}: {error.strerror}", 2) from None
    except NotStrictJson as error:
        raise fail(f"{file}: {error}", 2) from None
    made = {"version": 0, "keys": [], "revoked": []} | made
    lists = [made["keys"], made["revoked"]]
    entries = [one for part in lists for one in (part if isinstance(part, list) else [None])]
    whole = all(isinstance(one, dict) and {"name", "keyid", "public"} <= set(one) for one in entries)
    if made.get("type") != "keys" or not isinstance(made["version"], int) or not whole:
        raise fail(f"{file}: not a key list (a signed one is edited in its LIST file) / 不是密钥清单", 2)
    return made


def _write(file: Path, made: dict[str, Any]) -> None:
    import json

    try:
        file.write_text(json.dumps(made, ensure_ascii=False, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise fail(f"{file}: {error.strerror}", 2) from None


def _public_entries(file: Path) -> list[dict[str, Any]]:
    """The public keys in a NAME.pub.json as entries of a key list; exits with code 2 if there are none."""
    import base64

    from edged.central.envelope import KeyFileError, load_keys, load_names

    try:
        names = load_names(file)
        keys = load_keys(file)
    except KeyFileError as error:
        raise fail(str(error), 2) from None
    return [
        {
            "name": names.get(keyid) or file.name.partition(".")[0],
            "keyid": keyid,
            "public": base64.b64encode(public.raw).decode(),
            "algorithm": public.algorithm,
        }
        for keyid, public in keys.items()
    ]
