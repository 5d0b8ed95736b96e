"""``edged devices``: commands for a technician who connects one device: list drivers, send requests, decode bytes.

Rules: no hall.toml and no daemon is needed; stop the daemon first if it has the port open. Modbus frames are built and
checked by the link's own ``frames``; ports are opened by pyserial and sockets. ``--json`` prints one JSON
object per line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from edged.cli.target import fail

Lang = Literal["zh", "en", "both"]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
LangOption = Annotated[Lang, typer.Option(help="Language of the texts.")]
Url = Annotated[
    str, typer.Argument(help="rtu:///dev/…?baudrate=9600, tcp://host:port or rtu+tcp://host:port.")
]
app = typer.Typer(
    help="List, describe, probe, sniff, decode and find devices.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_found(found: dict[str, Any], as_json: bool, text: str) -> None:
    typer.echo(json.dumps(found, ensure_ascii=False) if as_json else text)


def _chosen(zh: str, en: str, lang: Lang) -> str:
    return " / ".join(text for text, wanted in ((zh, lang != "en"), (en, lang != "zh")) if wanted and text)


@app.command("list")
def list_(
    folder: Annotated[
        Path | None, typer.Option("--descriptions", help="The site's own folder; its examples are run.")
    ] = None,
    lang: LangOption = "both",
    as_json: Json = False,
) -> None:
    """List drivers and descriptions, and what each was verified against. The examples in a site's descriptions are run.

    \b
    Exit codes: 0 done, 1 an example in a site's file gives another result than it states.
    Example:    edged devices list --descriptions /etc/edged/descriptions
    """
    from devices import REGISTRY

    wrong = False
    for driver in REGISTRY:
        _print_found({"driver": driver}, as_json, driver)
        for found in _descriptions(driver, folder):
            wrong = wrong or bool(found["wrong"])
            title = _chosen(found["title_zh"], found["title"], lang)
            text = f"  {found['name']:<22} {title}  [{found['verified']}]{found['of']}"
            _print_found(found, as_json, "\n".join([text, *(f"    ! {line}" for line in found["wrong"])]))
    if wrong:
        raise typer.Exit(1)


def _descriptions(driver: str, folder: Path | None) -> Iterator[dict[str, Any]]:
    from edged.config import options_of
    from edged.descriptions import described, names, parsed, table

    kind = options_of(driver).DESCRIPTION
    if kind is None:
        return
    for name in names(driver):
        model = described(driver, name, kind)
        yield _row(driver, name, "", model.title, model.title_zh, model.verified, [])
    for file in sorted((folder / driver).glob("*.toml")) if folder is not None else ():
        try:
            model = parsed(table(file), kind)
        except ValueError as error:
            yield _row(driver, file.stem, " site", "?", "", "?", [str(error)])
            continue
        wrong = model.wrong_examples()
        yield _row(driver, file.stem, " site", model.title, model.title_zh, model.verified, wrong)


def _row(
    driver: str, name: str, of: str, title: str, title_zh: str, verified: str, wrong: list[str]
) -> dict[str, Any]:
    return {
        "driver": driver,
        "name": name,
        "of": of,
        "title": title,
        "title_zh": title_zh,
        "verified": verified,
        "wrong": wrong,
    }


@app.command()
def new(
    driver: Annotated[str, typer.Argument(help="modbus_relay, modbus_map or mqtt_map.")],
    name: Annotated[str, typer.Argument(help="What hall.toml will call it: small letters, digits, '-'.")],
    folder: Annotated[Path, typer.Option("--descriptions", help="The site's own folder.")] = Path(
        "descriptions"
    ),
) -> None:
    """Write a template of a description. It is valid as it is; replace its values by those in your device's manual.

    \b
    Exit codes: 0 written, 1 it exists already, 2 no such driver, or a wrong name.
    Example:    edged devices new modbus_relay our-board
    """
    from edged.cli.device_scaffolds import SCAFFOLDS
    from edged.config import DESCRIPTION

    if driver not in SCAFFOLDS or not DESCRIPTION.fullmatch(name):
        raise fail(f"need a driver ({', '.join(SCAFFOLDS)}) and a name of small letters, digits and '-'", 2)
    file = folder / driver / f"{name}.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(SCAFFOLDS[driver])
    except FileExistsError:
        raise fail(f"{file} is there already", 1) from None
    typer.echo(
        f'{file}\nhall.toml: [hall] descriptions = "{folder}"\nedged devices list --descriptions {folder}'
    )


@app.command()
def decode(
    family: Annotated[str, typer.Argument(help="modbus, candle485, escpos, ff68, http_counter …")],
    octets: Annotated[list[str], typer.Argument(help="Bytes in hex, spaces anywhere.", metavar="HEX...")],
    as_json: Json = False,
) -> None:
    """Decode bytes. Prints every frame in them, and the bytes outside any frame.

    \b
    Exit codes: 0 frames found, 1 none, 2 not hex or no such family.
    Example:    edged devices decode modbus 01 05 00 00 FF 00 8C 3A
    """
    from edged.cli.device_bytes import DECODERS

    try:
        data = bytes.fromhex("".join("".join(octets).split()))
        decoder = DECODERS[family]
    except ValueError:
        raise fail("bytes are written in hex: 01 05 00 00 FF 00 8C 3A", 2) from None
    except KeyError:
        raise fail(f"families with a decoder: {', '.join(DECODERS)}", 2) from None
    lines = decoder(data)
    for line in lines or ["no frame"]:
        _print_found({"family": family, "bytes": data.hex(" "), "meaning": line}, as_json, line)
    if not lines:
        raise typer.Exit(1)


@app.command()
def encode(
    what: Annotated[str, typer.Argument(help="modbus, modbus_relay/NAME, escpos, ff68 or voice_chip.")],
    words: Annotated[
        list[str],
        typer.Argument(help="Request in hex; channel and level (on, off, blink); or words of the family."),
    ],
    unit: Annotated[int | None, typer.Option(help="Unit; default: the description's, or 1.")] = None,
    folder: Annotated[Path | None, typer.Option("--descriptions", help="The site's own folder.")] = None,
) -> None:
    """Print the bytes of a request, with its checksum. A Modbus request is printed as an RTU frame, as on a serial
    line.

    \b
    Exit codes: 0 done, 2 not a request.
    Example:    edged devices encode modbus_relay/waveshare 3 on
                edged devices encode ff68 5 number A012
    """
    from edged.cli.device_bytes import encoded

    try:
        typer.echo(encoded(what, words, unit, folder).hex(" ").upper())
    except ValueError as error:
        raise fail(str(error), 2) from None


@app.command()
def probe(
    url: Url,
    unit: Annotated[int, typer.Option(min=1, max=255, help="Modbus unit number.")] = 1,
    request: Annotated[
        str, typer.Option(help="Request in hex: 01 0000 0008 reads eight coils; else what `encode` prints.")
    ] = "01 0000 0008",
    family: Annotated[str, typer.Option(help="modbus, or another family of `decode`.")] = "modbus",
    deadline_ms: Annotated[
        int, typer.Option(min=20, max=10_000, help="Milliseconds to wait beyond the time on the line.")
    ] = 300,
    lang: LangOption = "both",
    as_json: Json = False,
) -> None:
    """Send one request to a device. Shows the bytes in both directions, their meaning, and what to do without an
    answer.

    \b
    Exit codes: 0 it answered, 1 no answer or a wrong one, 2 not a request.
    Example:    edged devices probe rtu:///dev/ttyUSB0?baudrate=9600 --unit 3
    """
    from edged.cli.device_bytes import DECODERS, ask, ask_raw

    if family not in DECODERS:
        raise fail(f"families: {', '.join(DECODERS)}", 2)
    try:
        if family == "modbus":
            answer = ask(url, unit, request, deadline_ms / 1000)
        else:
            answer = ask_raw(url, family, request, deadline_ms / 1000)
    except ValueError as error:
        raise fail(str(error), 2) from None
    remedy = _chosen(answer.remedy_zh, answer.remedy, lang)
    lines = [
        f"-> {answer.sent.hex(' ')}   {answer.asked}",
        f"<- {answer.received.hex(' ') or '(nothing)'}   {answer.meaning}",
        *([f"!! {remedy}"] if remedy else []),
    ]
    found = {
        "sent": answer.sent.hex(" "),
        "received": answer.received.hex(" "),
        "meaning": answer.meaning,
        "ok": answer.ok,
    }
    _print_found(found | {"remedy": answer.remedy, "remedy_zh": answer.remedy_zh}, as_json, "\n".join(lines))
    if not answer.ok:
        raise typer.Exit(1)


@app.command()
def sniff(
    url: Url,
    family: Annotated[str, typer.Option(help="A family of `decode`, or raw.")] = "raw",
    seconds: Annotated[float, typer.Option(min=0.1, max=86_400, help="Seconds to listen.")] = 60.0,
    as_json: Json = False,
) -> None:
    """Listen on a line without sending. Shows what arrives, in bursts between silences, decoded if a family is given.

    \b
    Exit codes: 0 bytes arrived, 1 silence, 2 wrong usage or no such port.
    Example:    edged devices sniff rtu:///dev/ttyUSB0?baudrate=57600 --family candle485
    """
    from edged.cli.device_bytes import DECODERS, bursts

    if family != "raw" and family not in DECODERS:
        raise fail(f"families with a decoder: {', '.join(DECODERS)}", 2)
    received = False
    try:
        for at_s, data in bursts(url, seconds):
            received = True
            meaning = "; ".join(DECODERS[family](data)) if family != "raw" else ""
            found = {"at_s": round(at_s, 3), "bytes": data.hex(" "), "meaning": meaning}
            _print_found(found, as_json, f"{at_s:9.3f}  {data.hex(' ')}  {meaning}".rstrip())
    except (OSError, ValueError) as error:
        raise fail(str(error), 2) from None
    if not received:
        raise typer.Exit(1)


@app.command()
def detect(
    url: Url,
    units: Annotated[str, typer.Option(help="Units to try: 1-32, or 1,2,254.")] = "1-32",
    deadline_ms: Annotated[
        int,
        typer.Option(
            min=20, max=5000, help="Milliseconds to wait for each unit beyond the time on the line."
        ),
    ] = 100,
    as_json: Json = False,
) -> None:
    """Find the units on a Modbus line. Asks each for a coil, and prints a [[devices]] table for those that answer,
    even by a refusal.

    With `input` instead of a line it lists keypads and scanners of this machine; nothing is sent to them.

    \b
    Exit codes: 0 a unit answered, 1 none did, 2 wrong usage or no such port.
    Example:    edged devices detect rtu:///dev/ttyUSB0?baudrate=9600 --units 1-16,254
                edged devices detect input
    """
    if url == "input":
        return _detect_inputs(as_json)
    from edged.cli.device_bytes import answering_units, units_of

    found = 0
    try:
        for unit, answer in answering_units(url, units_of(units), deadline_ms / 1000):
            found += 1
            text = (
                f'[[devices]]\nid = "relay-{unit}"\ndriver = "modbus_relay"   # or modbus_map; answered {answer}\n'
                f'profile = "plain"\nurl = "{url}"\nunit = {unit}\n'
            )
            _print_found({"unit": unit, "url": url, "answer": answer}, as_json, text)
    except (OSError, ValueError) as error:
        raise fail(str(error), 2) from None
    if not found:
        raise typer.Exit(1)


def _detect_inputs(as_json: bool) -> None:
    from edged.cli.device_inputs import inputs

    listed = list(inputs())
    for one in listed:
        remarks = ["a whole keyboard by its own word: is it a scanner or keypad?"] * one.letters
        remarks += ["the user edged may not read it yet: 71-edged.rules"] * (not one.readable)
        comment = f"   # {one.name}" + "".join(f"; {remark}" for remark in remarks)
        text = f'[[devices]]\nid = "keypad"\ndriver = "evdev"\npath = "{one.path}"{comment}\n'
        _print_found(one._asdict(), as_json, text)
    if not listed:
        raise typer.Exit(1)
