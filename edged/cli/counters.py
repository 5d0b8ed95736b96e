"""``edged counters``: the process that receives the counts of people counters that speak HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edged.cli.target import fail

if TYPE_CHECKING:
    from socket import socket

    from devices.http_counter.reception import Reception

NEEDS = ("starlette", "uvicorn")
File = Annotated[Path | None, typer.Option(help="PEM, for HTTPS; both or neither.")]


def counters(
    config: Annotated[Path, typer.Option("--config", "-c", help="The hall: hall.toml.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port to listen on; 0: any that is free.")
    ] = 8092,
    tls_cert: File = None,
    tls_key: File = None,
    password_file: Annotated[
        Path | None,
        typer.Option(help="Password of user edged-counters at the broker; without it: the daemon's account."),
    ] = None,
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    child: Annotated[bool, typer.Option("--child", hidden=True, help="End with standard input.")] = False,
) -> None:
    """Receive the counts of people counters that speak HTTP (driver = "http_counter" in hall.toml), until stopped.

    A process of its own beside `edged run`. A counter posts to http://THIS-MACHINE:PORT/DEVICE with its username and
    secret (Basic, Digest or Bearer), or to /DEVICE/SECRET. If hall.toml gives a url for a counter, this process polls
    that url instead. The first line on stdout is the address.

    \b
    Exit codes: 0 stopped, 2 configuration, no such device, a secret or address that cannot be used.
    Example:    edged counters --config /etc/edged/hall.toml --host 192.168.1.5
    """
    if any(find_spec(name) is None for name in NEEDS):
        raise fail(f"edged counters: needs {' and '.join(NEEDS)}: pip install 'edged[web]'", 2)
    from devices.http_counter.driver import SPEAKER, HttpCounterOptions
    from devices.http_counter.reception import Reception, counters_of
    from edged import logs
    from edged.config import ConfigErrors, load
    from edged.config.broker import link_settings
    from edged.links.http.listener import bind
    from edged.parent import end_with_parent

    logs.configure(log_level)
    if child:
        end_with_parent(lambda: os._exit(0))
    try:
        found = load(config)
        mine = {one.id: one.options for one in found.devices if isinstance(one.options, HttpCounterOptions)}
        if not mine:
            raise fail(f'{config} has no device with driver = "http_counter"', 2)
        mqtt = replace(link_settings(found), client_id=f"{SPEAKER}-{found.hall}")
        if password_file is not None:
            mqtt = replace(
                mqtt, username=SPEAKER, password_file=str(password_file), tls_cert=None, tls_key=None
            )
        reception = Reception(found.hall, counters_of(mine), mqtt)
        with bind(host, port) as place:
            asyncio.run(_serve(reception, place, host, tls_cert, tls_key))
    except ConfigErrors as errors:
        raise fail("\n".join(errors.lines), 2) from None
    except (OSError, ValueError) as error:
        raise fail(f"edged counters: {error}", 2) from None
    finally:
        logs.drain()


async def _serve(
    reception: Reception, place: socket, host: str, tls_cert: Path | None, tls_key: Path | None
) -> None:
    """Print the address and serve until SIGTERM, SIGINT or SIGHUP."""
    from edged.links.http.listener import Listener

    cert, key = (None if file is None else str(file) for file in (tls_cert, tls_key))
    listener = Listener(reception.door, cert, key)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    scheme = "https" if tls_cert is not None else "http"
    print(f"{scheme}://{f'[{host}]' if ':' in host else host}:{place.getsockname()[1]}/", flush=True)
    async with asyncio.TaskGroup() as group:
        life = group.create_task(reception.run())
        server = group.create_task(listener.serve(sockets=[place]))
        await stopping.wait()
        listener.should_exit = True
        await server
        life.cancel()
