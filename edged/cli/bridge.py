"""``edged bridge``: follows an existing queue system by reading its database or web service."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from edged.cli.target import fail


def bridge(
    settings: Annotated[
        Path, typer.Argument(help="bridge.toml: views, columns and words of the other system.")
    ],
    config: Annotated[Path, typer.Option("--config", "-c", help="The hall: hall.toml.")],
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    child: Annotated[bool, typer.Option("--child", hidden=True, help="End with standard input.")] = False,
) -> None:
    """Follow an existing queue system that calls the visitors: read its data and report it to the hall. Nothing is
    written to that system.

    A separate process. It reads views of PostgreSQL, MariaDB, SQL Server or Oracle (by SQLAlchemy), a web service or a
    WebSocket. What it finds it sends as MQTT messages in the name of the device that [hall] queue names. Every row is
    on the disk of this machine before it is sent.

    \b
    Exit codes: 0 stopped, 2 configuration, state or address that cannot be used, or the extra [bridge] is missing.
    Example:    edged bridge /etc/edged/bridge.toml --config /etc/edged/hall.toml
    """
    from edged import logs
    from edged.bridge.service import Bridge, source_of
    from edged.bridge.settings import load as load_bridge
    from edged.config import ConfigErrors, load
    from edged.config.broker import link_settings
    from edged.parent import end_with_parent

    logs.configure(log_level)
    if child:
        end_with_parent(lambda: os._exit(0))
    try:
        hall, wanted = load(config), load_bridge(settings)
        if hall.site.queue != wanted.queue:
            raise fail(f'{settings}: queue "{wanted.queue}" is not [hall] queue of {config}', 2)
        own = link_settings(hall)
        mqtt = replace(
            own,
            client_id=wanted.username or wanted.queue,
            username=wanted.username,
            password_file=wanted.password_file,
            tls_cert=wanted.cert_file,
            tls_key=wanted.key_file,
        )
        made = Bridge(wanted, mqtt, hall.hall, source_of(wanted))
        asyncio.run(made.run(lambda: print("edged bridge: ready", flush=True)))
    except ConfigErrors as errors:
        raise fail("\n".join(errors.lines), 2) from None
    except ImportError as error:
        raise fail(f"install the extra: pip install 'edged[bridge]' ({error.name} is missing)", 2) from None
    except (OSError, ValueError) as error:
        raise fail(f"edged bridge: {error}", 2) from None
    except KeyboardInterrupt:
        pass
    finally:
        logs.drain()
