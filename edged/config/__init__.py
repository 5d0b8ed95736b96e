"""hall.toml -> the typed, validated hall. Rules of this file:

* ``load`` returns a ``HallConfig`` or raises ``ConfigErrors`` with *every* mistake: one line each, in file order,
  ``file:line: key.path: what is wrong; what is allowed; did you mean …``.
* A device's options are checked by its own driver's model, imported only where the file uses that driver.
* Relative paths start at the file's directory, whatever the working directory is.
"""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, TypeVar, cast

from msgspec.structs import asdict

from devices import REGISTRY, place_of
from edged.config import references, wording
from edged.config.remarks import remarks
from edged.config.shape import (
    REPEATED,
    REQUIRED,
    SINGLE,
    AreaTable,
    CasesTable,
    DeviceTable,
    DutyTable,
    HallTable,
    MqttTable,
    PagesTable,
    PolicyTable,
    ServiceTable,
    StaffTable,
    StoreTable,
    Table,
    WebTable,
    WindowTable,
    minutes,
)
from edged.config.toml_lines import index
from edged.config.wording import Mistake
from edged.core.model.point import Point, parts_of, point_of
from edged.core.model.site import Area, Board, Service, Site, Staff, Window
from edged.descriptions import parsed, table
from edged.driver import Options
from edged.encoding import NotUtf8, text_of
from edged.shapes import Misshapen, Path, read

FILE_BYTES_MAX = 1 << 20  # a hall of 1,000 windows takes about 300 KiB; more is not a configuration
DEVICE_KEYS = ("id", "driver", "printer")  # of every device
MISTAKES_SHOWN_MAX = 200  # a wrong file (a log, a binary) must not fill the screen

__all__ = [
    "ConfigErrors",
    "DeviceConfig",
    "HallConfig",
    "MqttTable",
    "PagesTable",
    "PolicyTable",
    "StoreTable",
    "WebTable",
    "load",
    "parse",
]

# Keys that hold a file or port path, anchored at the file's directory.
_PATH_KEYS: dict[str, tuple[str, ...]] = {
    "mqtt": ("password_file",),
    "store": ("path",),
    "policy": ("keys", "root", "rehearse_socket"),
    "duty": ("keys",),
    "pages": (
        *("directory", "duty_key", "pins", "password_file", "cert_file", "key_file"),
        *("tls_cert_file", "tls_key_file"),
    ),
    "tls": ("ca_file", "cert_file", "key_file"),
    "commands": ("password_file", "cert_file", "key_file"),
    "devices": ("path", "url_file", "secret_file"),
    "hall": ("descriptions",),
}
DESCRIPTION = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")  # a description's name; no path out of its folder
_T = TypeVar("_T", bound=Table)


class ConfigErrors(Exception):
    """The file cannot be used. ``lines`` holds one printable line per mistake."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """One device: ``options`` is an instance of its driver's ``OPTIONS``."""

    id: str
    driver: str
    options: Options


@dataclass(frozen=True, slots=True)
class RemarkLine:
    """One printable remark about a hall.toml. ``grave``: a part of the hall will not work until it is fixed."""

    line: str
    grave: bool


@dataclass(frozen=True, slots=True)
class HallConfig:
    """A validated hall.toml with absolute paths. ``hall`` is the hall's id, ``timezone`` an IANA name.

    ``text``: the file's content as read, which ``accepted.py`` stores; ``remarks``: what ``remarks.py`` found.
    """

    file: FilePath
    hall: str
    timezone: str
    site: Site
    mqtt: MqttTable
    devices: tuple[DeviceConfig, ...]
    store: StoreTable
    web: WebTable
    pages: PagesTable
    policy: PolicyTable
    name_en: str | None = None
    duty: DutyTable = field(default_factory=DutyTable)
    text: str = field(default="", compare=False, repr=False)
    remarks: tuple[RemarkLine, ...] = field(default=(), compare=False, repr=False)


def load(path: str | FilePath) -> HallConfig:
    """Read and check a hall.toml. Whatever the file holds, the only exception is ``ConfigErrors``."""
    file = FilePath(path)
    return parse(file, _text(file))


def parse(file: FilePath, text: str) -> HallConfig:
    """Check ``text`` as the content of ``file``. Raises ``ConfigErrors``, with one line per mistake, if it has any."""
    try:
        return _TablesRead(file, text, _parsed(file, text)).result()
    except RecursionError:
        raise ConfigErrors([f"{file}:1: nested too deeply to be a hall's configuration"]) from None


def _parsed(file: FilePath, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigErrors([_syntax_line(file, text, str(error))]) from None
    except ValueError as error:  # Python refuses integers of thousands of digits
        raise ConfigErrors([f"{file}:1: {error}"]) from None


def _text(file: FilePath) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigErrors([f"{file}: cannot be read: {error.strerror or error}"]) from None
    if len(data) > FILE_BYTES_MAX:
        raise ConfigErrors([f"{file}: larger than {FILE_BYTES_MAX} bytes: not a hall's configuration"])
    try:
        return text_of(data)
    except NotUtf8 as error:
        raise ConfigErrors([f"{file}:{error.line}: {error.at_column}"]) from None


def _syntax_line(file: FilePath, text: str, message: str) -> str:
    """Rewrite tomllib's "… (at line 3, column 5)" in the form ``file:line: …`` of all other mistakes."""
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if found is None:
        return f"{file}:1: TOML: {message}"
    line = found[2] or str(text.count("\n") + 1)
    column = f" (column {found[3]})" if found[3] else " (at the end of the file)"
    shown = text.split("\n")[int(line) - 1] if found[3] else ""
    return f"{file}:{line}: TOML: {found[1]}{column}{wording.syntax_hint(shown, int(found[3] or 1))}"


class _TablesRead:
    """The reading of one parsed document: collects its mistakes, and every table that has none."""

    def __init__(self, file: FilePath, text: str, raw: dict[str, Any]) -> None:
        self.file = file
        self.text = text
        self.raw = raw
        self.mistakes: list[Mistake] = []
        self.single: dict[str, Table] = {}
        self.repeated: dict[str, list[Table]] = {kind: [] for kind in REPEATED}
        self.devices: list[DeviceConfig] = []
        self.printers: list[tuple[str, Point]] = []  # (dispenser, the point that prints its numbers)

    def result(self) -> HallConfig:
        self._top_level()
        for kind, model in SINGLE.items():
            self._single(kind, model)
        for kind, (model, most) in REPEATED.items():
            self._repeated(kind, model, most)
        self.mistakes += wording.invisible_characters(self.raw)
        self.mistakes += references.check(self.raw)
        options = {device.id: device.options for device in self.devices}
        self.mistakes += references.check_options(self.raw, options)
        if self.mistakes:
            raise ConfigErrors(self._lines())
        return self._config()

    def _wrong(self, path: Path, text: str) -> None:
        self.mistakes.append(Mistake(path, text))

    def _top_level(self) -> None:
        known = (*SINGLE, *REPEATED)
        for key in self.raw:
            if key not in known:
                self._wrong((key,), wording.unknown("table", key, known, name_it=False))
        for kind in REQUIRED:
            if kind not in self.raw:
                form = f"[[{kind}]]" if kind in REPEATED else f"[{kind}]"
                self._wrong((kind,), f"the table {form} is required and missing")

    def _single(self, kind: str, model: type[Table]) -> None:
        value = self.raw.get(kind, {})
        if not isinstance(value, dict):
            self._wrong((kind,), f"must be one table, written [{kind}]")
            return
        if kind in self.raw or kind not in REQUIRED:
            table = self._validated(model, _anchored(self.file, kind, value), (kind,))
            if table is not None:
                self.single[kind] = table

    def _repeated(self, kind: str, model: type[Table], most: int) -> None:
        entries = self.raw.get(kind, [])
        if not isinstance(entries, list):
            self._wrong((kind,), f"must be a list of tables, each written [[{kind}]]")
            return
        if len(entries) > most:
            self._wrong((kind, most), f"at most {most} {kind} are allowed, not {len(entries)}")
        for position, entry in enumerate(entries[:most]):
            if not isinstance(entry, dict):
                self._wrong((kind, position), f"must be a table, written [[{kind}]]")
            elif kind == "devices":
                self._device(entry, (kind, position))
            elif (table := self._validated(model, entry, (kind, position))) is not None:
                self.repeated[kind].append(table)

    def _validated(self, model: type[_T], value: dict[str, Any], at: Path) -> _T | None:
        try:
            return read(model, value)
        except Misshapen as error:
            self.mistakes += wording.mistakes(error.faults, at)
            return None

    def _device(self, entry: dict[str, Any], at: Path) -> None:
        head = self._validated(DeviceTable, {k: v for k, v in entry.items() if k in DEVICE_KEYS}, at)
        driver = entry.get("driver")
        if not isinstance(driver, str):
            return
        if place_of(driver) is None:
            self._wrong((*at, "driver"), wording.unknown("driver", driver, REGISTRY))
            return
        try:
            model = options_of(driver)
        except Exception as error:  # noqa: BLE001 - a site's own driver may fail in any way while it is imported
            self._wrong((*at, "driver"), f'the driver "{driver}" cannot be loaded: {error}')
            return
        flat = {k: v for k, v in entry.items() if k not in DEVICE_KEYS}
        try:
            flat = self._with_description(driver, model, flat)
        except ValueError as error:
            self._wrong((*at, model.DESCRIBED), str(error))
            return
        try:
            options = read(model, _anchored(self.file, "devices", flat))
        except Misshapen as error:
            self.mistakes += wording.mistakes(error.faults, at)
            return
        if head is not None:
            self.devices.append(DeviceConfig(head.id, driver, options))
            if head.printer is not None:
                self.printers.append((head.id, head.printer))

    def _with_description(self, driver: str, model: type[Options], flat: dict[str, Any]) -> dict[str, Any]:
        """The options, with the name of a device description replaced by its content if this site has a file of that
        name. Raises ``ValueError`` if that file is no valid description.
        """
        key, kind = model.DESCRIBED, model.DESCRIPTION
        hall, name = self.raw.get("hall"), flat.get(key)
        folder = hall.get("descriptions") if isinstance(hall, dict) else None
        if not (isinstance(folder, str) and isinstance(name, str) and DESCRIPTION.fullmatch(name)):
            return flat
        file = self.file.absolute().parent / folder / driver / f"{name}.toml"
        if kind is None or not file.is_file():
            return flat
        try:
            fields = table(file)
            parsed(fields, kind)
            return flat | {key: fields}
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None

    def _remarks(self) -> Iterator[RemarkLine]:
        lines = index(self.text)
        options = {device.id: device.options for device in self.devices}
        for remark in remarks(self.raw, options):
            line, place = line_of(lines, remark.place), references.path_text(remark.place, self.raw)
            yield RemarkLine(f"{self.file}:{line}: {place}: {remark.text}", remark.grave)

    def _lines(self) -> list[str]:
        lines = index(self.text)
        found = {
            (line_of(lines, m.path), references.path_text(m.path, self.raw), m.text) for m in self.mistakes
        }
        shown = [f"{self.file}:{line}: {place}: {text}" for line, place, text in sorted(found)]
        if len(shown) > MISTAKES_SHOWN_MAX:
            rest = len(shown) - MISTAKES_SHOWN_MAX
            shown = [*shown[:MISTAKES_SHOWN_MAX], f"{self.file}: and {rest} more mistakes"]
        return shown

    def _config(self) -> HallConfig:
        hall = cast(HallTable, self.single["hall"])
        duty = cast(DutyTable, self.single["duty"])
        public_url = cast(PagesTable, self.single["pages"]).public_url
        site = Site(
            hall=hall.id,
            name=hall.name,
            areas=tuple(Area(**asdict(cast(AreaTable, t))) for t in self.repeated["areas"]),
            services=tuple(Service(**asdict(cast(ServiceTable, t))) for t in self.repeated["services"]),
            windows=tuple(Window(**asdict(cast(WindowTable, t))) for t in self.repeated["windows"]),
            staff=tuple(_staff(cast(StaffTable, t)) for t in self.repeated["staff"]),
            queue=hall.queue,
            duty_pager=duty.pager,
            duty_panel=duty.panel,
            dispensers=tuple(
                point_of(device.id)
                for device in self.devices
                if getattr(device.options, "kind", None) == "dispenser"
            ),
            duty_displays=duty.displays,
            case_lamps=cast(CasesTable, self.single["cases"]).lamps,
            case_displays=cast(CasesTable, self.single["cases"]).displays,
            displays=hall.displays,
            boards=tuple(self._boards()),
            tickets_url=None if public_url is None else public_url.rstrip("/"),
            printers=tuple(self.printers),
        )
        return HallConfig(
            file=self.file.absolute(),
            hall=hall.id,
            timezone=hall.timezone,
            site=site,
            mqtt=cast(MqttTable, self.single["mqtt"]),
            devices=tuple(self.devices),
            store=cast(StoreTable, self.single["store"]),
            web=cast(WebTable, self.single["web"]),
            pages=cast(PagesTable, self.single["pages"]),
            policy=cast(PolicyTable, self.single["policy"]),
            name_en=hall.name_en,
            duty=duty,
            text=self.text,
            remarks=tuple(self._remarks()),
        )

    def _boards(self) -> Iterator[Board]:
        """The displays in use whose driver knows their size."""
        options = {device.id: device.options for device in self.devices}
        for point in references.displays(self.raw):
            device, channel = parts_of(point)
            size = options[device].display_size(channel)
            if size is not None:
                yield Board(point, size.rows, size.columns, size.scrolls, size.font)


def _staff(table: StaffTable) -> Staff:
    return Staff(**asdict(table) | {"shifts": tuple(map(minutes, table.shifts))})


def options_of(driver: str) -> type[Options]:
    """The options model of a known driver. Raises ``ImportError`` if the driver's module or a library of it is missing,
    ``AttributeError`` if the module has no such class.
    """
    module, name = str(place_of(driver)).split(":")
    return cast("type[Options]", getattr(importlib.import_module(module), name).OPTIONS)


def line_of(lines: dict[Path, int], path: Path) -> int:
    """The line of ``path``; for a missing key, the line of the nearest enclosing table."""
    for end in range(len(path), 0, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return 1


def _anchored(file: FilePath, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    """A copy of a table with its relative paths made absolute."""
    result = dict(value)
    for key in _PATH_KEYS.get(kind, ()):
        if isinstance(result.get(key), str) and result[key]:
            result[key] = str(file.absolute().parent / result[key])
    for inner in ("tls", "commands") if kind == "mqtt" else ():
        if isinstance(result.get(inner), dict):
            result[inner] = _anchored(file, inner, result[inner])
    return result
