"""Finds the hall that a command talks to. Rules of this file:

* The first of these that is there: ``--broker`` and ``--hall``; a hall.toml (``--config``); the demo running on this
  machine; this machine's own hall (``SITE``).
* The demo writes its address into one small file (``announce``). After the demo has ended, the file is gone or names
  a process that has ended.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import typer

from edged.cli.json_object import json_object
from edged.clock import Clock, Warp

DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}
# Environment variable that names a file; its first line is the password of USER in --broker.
PASSWORD_FILE = "EDGED_PASSWORD_FILE"  # noqa: S105 (a name)
SITE = Path("/etc/edged/hall.toml")  # hall.toml of the hall installed on this machine: the default
DEMO_FILE_BYTES_MAX = 16 * 1024


class NoTarget(Exception):
    """No hall to talk to; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """A hall and the broker it is at. ``web`` is the base URL of its pages.

    Of a demo: ``signing_key`` is its own policy key, ``warp`` how its clock runs (``clock.Warp``).
    """

    hall: str
    host: str = "127.0.0.1"
    port: int = 1883
    protocol: Literal["5", "3.1.1"] = "5"
    username: str | None = None
    password: str | None = None
    tls: bool = False
    tls_ca: str | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    web: str | None = None
    signing_key: str | None = None
    warp: str | None = None

    def clock(self) -> Clock:
        """A clock that shows the hall's time."""
        return Clock(0, None if self.warp is None else Warp.parse(self.warp))


def find(broker: str | None, hall: str | None, config: Path | None) -> Target:
    """The hall that the options name. Without options: the demo that runs on this machine, else this machine's own hall
    (``SITE``).

    Raises ``NoTarget`` if there is no such hall, ``broker`` comes without ``hall`` or is wrong, or ``hall`` is not the
    hall found; ``ConfigErrors`` for a wrong hall.toml.
    """
    if broker is not None:
        if hall is None:
            raise NoTarget("--broker needs --hall: the id of the hall, as in [hall] of its hall.toml")
        return from_url(broker, hall)
    if config is not None:
        return from_config(config)
    demo = running_demo()
    if demo is None and SITE.exists():
        site = from_config(SITE)
        if hall is not None and hall != site.hall:
            raise NoTarget(f'{SITE} is hall "{site.hall}", not "{hall}"; give --broker URL as well')
        return site
    if demo is None:
        raise NoTarget(
            "no demo is running here; start `edged demo`, or give --config HALL.TOML or --broker URL --hall ID"
        )
    if hall is not None and hall != demo.hall:
        raise NoTarget(f'the running demo is hall "{demo.hall}", not "{hall}"; give --broker URL as well')
    return demo


def from_url(url: str, hall: str) -> Target:
    """Parse ``mqtt[s]://[user@]host[:port]``, with ``?protocol=3.1.1`` for a broker without MQTT 5. A user's password
    is in the file that the environment variable EDGED_PASSWORD_FILE names. Raises ``NoTarget`` if ``url`` is something
    else, or holds a password.
    """
    parts = urlsplit(url if "://" in url else f"mqtt://{url}")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or port == 0:
        raise NoTarget(f"not a broker: {url}; write mqtt://HOST:PORT or mqtts://HOST:PORT")
    if parts.password is not None:
        raise NoTarget(
            "a password on a command line can be read by everybody on this machine; write mqtt://USER@HOST and name"
            f" a file that holds it in {PASSWORD_FILE}, or use --config"
        )
    return Target(
        hall=hall,
        host=parts.hostname,
        port=port or DEFAULT_PORTS[parts.scheme],
        protocol="3.1.1" if parts.query == "protocol=3.1.1" else "5",
        username=None if parts.username is None else unquote(parts.username),
        password=None if parts.username is None else _password(os.environ.get(PASSWORD_FILE)),
        tls=parts.scheme == "mqtts",
    )


def _password(file: str | None) -> str | None:
    from edged.links.mqtt.settings import first_line

    try:
        return None if file is None else first_line(file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NoTarget(f"{PASSWORD_FILE}: {file} cannot be read: {reason}") from None


def from_config(file: Path) -> Target:
    """The hall of a hall.toml with its broker settings. If the file has mistakes, they are printed, and its last
    accepted version is used.

    Raises ``ConfigErrors`` if there is no accepted version either, or the broker's password file cannot be read.
    """
    from edged.cli.credentials import reachable
    from edged.config import ConfigErrors, accepted
    from edged.links.mqtt.settings import first_line

    found, mistakes = accepted.begin(file)
    for line in mistakes:
        typer.echo(line, err=True)
    config = reachable(found)
    mqtt, tls = config.mqtt, config.mqtt.tls
    own = mqtt if mqtt.commands is None or mqtt.commands.username is None else mqtt.commands
    try:
        password = None if own.password_file is None else first_line(own.password_file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigErrors([f"{config.file}: mqtt: {own.password_file} cannot be read: {reason}"]) from None
    pair = mqtt.commands if mqtt.commands is not None and mqtt.commands.cert_file is not None else tls
    return Target(
        hall=config.hall,
        host=mqtt.host,
        port=mqtt.port,
        protocol=mqtt.protocol,
        username=own.username,
        password=password,
        tls=tls is not None,
        tls_ca=None if tls is None else tls.ca_file,
        tls_cert=None if pair is None else pair.cert_file,
        tls_key=None if pair is None else pair.key_file,
        web=f"http://{config.web.host}:{config.web.port}" if config.web.port else None,
    )


def demo_file() -> Path:
    """The file in which a running demo announces its address, readable only by this user."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isdir(runtime):
        return Path(runtime) / "edged-demo.json"
    return Path(tempfile.gettempdir()) / f"edged-demo-{os.getuid()}.json"


@contextmanager
def announce(target: Target) -> Iterator[Path]:
    """Announce ``target`` while the ``with`` block runs: commands without options then use this hall. Yields the
    file.
    """
    file = demo_file()
    fresh = file.with_suffix(f".{os.getpid()}")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as stream:
        json.dump({"pid": os.getpid(), **asdict(target)}, stream)
    os.replace(fresh, file)
    try:
        yield file
    finally:
        if _read(file).get("pid") == os.getpid():
            file.unlink(missing_ok=True)


def running_demo() -> Target | None:
    """The hall and broker of the demo that this user runs on this machine; None if there is none or its process has
    ended.
    """
    fields = _read(demo_file())
    pid = fields.pop("pid", None)
    try:
        os.kill(int(str(pid)), 0)
        return Target(**fields)  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError):
        return None


def _read(file: Path) -> dict[str, object]:
    """The announcement; {} unless it is a regular file owned by this user (its directory may be writable by
    everybody).
    """
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
        with os.fdopen(handle, "rb") as stream:
            if os.fstat(stream.fileno()).st_uid != os.getuid():
                return {}
            return json_object(stream.read(DEMO_FILE_BYTES_MAX))
    except OSError:
        return {}


def fail(text: str, code: int = 1) -> typer.Exit:
    """Print what went wrong on stderr; returns the exception to raise."""
    typer.echo(f"edged: {text}", err=True)
    return typer.Exit(code)


def find_or_exit(broker: str | None, hall: str | None, config: Path | None) -> Target:
    """``find`` for commands: prints what is wrong and exits with code 2."""
    from edged.config import ConfigErrors

    try:
        return find(broker, hall, config)
    except NoTarget as error:
        raise fail(str(error), 2) from None
    except ConfigErrors as errors:
        for line in errors.lines:
            typer.echo(line, err=True)
        raise typer.Exit(2) from None
