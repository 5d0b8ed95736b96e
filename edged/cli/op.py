"""``edged op``: signs orders and sends them to a running hall. Rules of this file:

* An operation is ``NAME key=value …``; ``edged op list`` prints all of them, from the models that the hall uses.
* Everything that can be checked without the hall is checked before signing; the hall's own answer is printed as it is.
* The outcome of an order arrives as one of the hall's events, through brokers and bridges of any MQTT version. Where
all of them speak MQTT 5, the answer on the order's response topic arrives earlier.
* Dates are by the hall's clock; that of a demo shows another day and runs faster.
* Exit code 0 done, 1 refused or no answer, 2 wrong usage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edged.cli.policy import (
    Broker,
    Config,
    HallId,
    Key,
    is_envelope,
    print_refusal,
    read_file,
    signed,
    write_out,
)
from edged.cli.target import Target, fail, find_or_exit

ANSWER_S = 10.0  # a hall answers after its commit, within tens of ms; a bridge adds the delay of its line
VALID_MIN = 10  # default validity of an order that is signed and sent at once
VALID_MAX_MIN = 24 * 60

app = typer.Typer(
    help="""Sign and push operations: what a hall is to do now.

    \b
      edged op list                                        every operation and what it needs
      edged op push open window=11 for_s=1800 --by "陈敏" --key city.key --config hall.toml
      edged op push rollback --by "陈敏" --key city.key --config hall.toml
    With `edged demo` running, key and hall are found by themselves.
    """,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(help="Operation, see `edged op list`; or a signed envelope's file.")]
Values = Annotated[
    list[str] | None, typer.Argument(help="Arguments of the operation, as key=value.", metavar="KEY=VALUE")
]
By = Annotated[str | None, typer.Option(help="Name of the person who gives the order.")]
Minutes = Annotated[int, typer.Option(min=1, max=VALID_MAX_MIN, help="Minutes for which the order is valid.")]


@app.command("list")
def list_() -> None:
    """Print every operation with its keys. Those in brackets may be left out; a sentence says what the operation
    does.
    """
    import textwrap

    from edged.central.operations import OPERATIONS
    from edged.shapes import keys_of

    for name, kind in OPERATIONS.items():
        keys = [key if required else f"[{key}]" for key, required in keys_of(kind).items()]
        typer.echo(f"{name:16} {' '.join(keys)}")
        text = " ".join((kind.__doc__ or "").replace("``", "`").split())
        typer.echo(textwrap.fill(text, 100, initial_indent=" " * 17, subsequent_indent=" " * 17))


@app.command()
def sign(
    name: Name,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the envelope.")],
    hall: Annotated[str, typer.Option("--hall", help="Id of the hall, or group:NAME.")],
    values: Values = None,
    key: Key = None,
    by: By = None,
    valid_min: Minutes = VALID_MIN,
) -> None:
    """Write a signed operation to a file. Another program can push it while it is valid."""
    if key is None:
        raise fail("give the signing key with --key", 2)
    raw = _signed(_document(name, values or [], by, (Target(hall), valid_min)), key)
    write_out(out, raw)
    typer.echo(f"{out}: signed, valid for {valid_min} min, {len(raw)} bytes")


@app.command()
def push(
    name: Name,
    values: Values = None,
    key: Key = None,
    by: By = None,
    broker: Broker = None,
    hall: HallId = None,
    config: Config = None,
    wait_s: Annotated[float, typer.Option(help="Seconds to wait for the hall's answer.")] = ANSWER_S,
) -> None:
    """Order a hall to do something now, and wait for its answer. It says done, or why not."""
    target = find_or_exit(broker, hall, config)
    if Path(name).is_file():
        raw, name = _read_signed(Path(name))
    else:
        if key is None and target.signing_key is not None:
            key = Path(target.signing_key)
        if key is None:
            raise fail("give the signing key with --key", 2)
        raw = _signed(_document(name, values or [], by, (target, VALID_MIN)), key)
    answer = _exchange(target, name, raw, wait_s)
    typer.echo(f"{name}: {answer.get('message')} [{answer.get('code')}] / {answer.get('message_zh')}")
    raise typer.Exit(0 if answer.get("ok") is True else 1)


def _exchange(target: Target, name: str, raw: bytes, wait_s: float) -> dict[str, Any]:
    """Send the signed order ``raw`` and return the hall's answer. It arrives on the order's response topic or as one of
    the hall's events; the first counts. Exits with code 1 if none comes within ``wait_s``.
    """
    import secrets

    from edged.central import topics
    from edged.central.operations import claimed_id
    from edged.cli.exchange import NoAnswer, conversation

    order = claimed_id(raw)
    answers = topics.answer(target.hall, secrets.token_hex(8))
    listened = [topics.events(target.hall), *([answers] if target.protocol == "5" else [])]
    try:
        with conversation(target, listened) as talk:
            if talk.answers_possible:
                talk.request(topics.operation(target.hall, name), raw, answers)
            else:
                talk.publish(topics.operation(target.hall, name), raw)
            for message in talk.receive(wait_s):
                found = message.body
                if message.topic != answers:
                    found = outcome_of(found, order)
                if found:
                    return found
    except NoAnswer as error:
        raise fail(str(error)) from None
    raise fail(
        f'sent; hall "{target.hall}" did not answer within {wait_s:g} s: is it running, and is the id right? '
        "/ 已发送，但大厅没有回应"
    )


def outcome_of(event: dict[str, Any], order: str) -> dict[str, Any]:
    """The outcome of the order with id ``order``, if ``event`` (one of the hall's events) says that it was done or
    refused; {} otherwise.
    """
    data, kind = event.get("data"), event.get("type")
    if not isinstance(data, dict) or data.get("id") != order:
        return {}
    if kind == "edged.operation.done":
        return {"ok": True, "code": "done", "message": "done", "message_zh": "已执行"} | data
    if kind == "edged.operation.refused":
        words = {"message": "refused; the hall's log says more", "message_zh": "大厅已拒绝，详见大厅日志"}
        return {"ok": False} | words | data
    return {}


def _read_signed(file: Path) -> tuple[bytes, str]:
    from edged.central.envelope import opened_unverified
    from edged.central.operations import inspect
    from edged.central.refusals import DocumentRefused

    raw = read_file(file)
    if not is_envelope(raw):
        raise fail(f"{file}: not a signed operation; make one with `edged op sign`", 2)
    try:
        return raw, inspect(opened_unverified(raw)).operation
    except DocumentRefused as refusal:
        print_refusal(refusal)
        raise typer.Exit(1) from None


def signed_order(hall: str, name: str, values: list[str], by: str, key: Path) -> bytes:
    """Sign an order with the longest permitted validity, because the hall may be offline now."""
    return _signed(_document(name, values, by, (Target(hall), VALID_MAX_MIN)), key)


def _document(name: str, values: list[str], by: str | None, meant: tuple[Target, int]) -> bytes:
    import getpass
    import json
    import secrets
    from datetime import UTC, datetime, timedelta

    from edged.central.operations import TYPE

    target, valid_min = meant
    clock = target.clock()
    now_ms = clock.wall_ms()
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    document = {
        "type": TYPE,
        "halls": [target.hall],
        "operation": name,
        "id": secrets.token_hex(8),
        "counter": now_ms,
        "not_before": now.isoformat(),
        "expires": (now + timedelta(minutes=min(VALID_MAX_MIN, valid_min * clock.speed))).isoformat(),
        "by": by or getpass.getuser(),
        "body": _body(name, values),
    }
    return json.dumps(document, ensure_ascii=False).encode()


def _body(name: str, values: list[str]) -> dict[str, Any]:
    """Parse ``key=value`` words: numbers where the operation needs them, lists as ``areas=tax,house``, text
    otherwise.
    """
    import json
    import re
    from typing import get_type_hints

    from edged.central.operations import OPERATIONS

    hints = get_type_hints(OPERATIONS[name]) if name in OPERATIONS else {}
    body: dict[str, Any] = {}
    for word in values:
        key, equals, value = word.partition("=")
        if not equals:
            raise fail(f"{word}: write KEY=VALUE", 2)
        body[key] = value
        if key in hints and "tuple" in str(hints[key]) and not value.startswith("["):
            body[key] = [one for one in value.split(",") if one]
        elif key in hints and re.search(r"\b(int|bool|tuple)\b", str(hints[key])):
            try:
                body[key] = json.loads(value)
            except ValueError:
                raise fail(f"{word}: {value} is not a number", 2) from None
    return body


def _signed(payload: bytes, key: Path) -> bytes:
    from edged.central.operations import PAYLOAD_TYPE, inspect

    return signed(payload, PAYLOAD_TYPE, key, lambda: inspect(payload))
