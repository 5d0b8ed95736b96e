"""``edged pager``: the process that sends pages to group robots of WeCom, DingTalk and Feishu, and as text messages."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from edged.cli.target import fail


def pager(
    config: Annotated[Path, typer.Option("--config", "-c", help="The hall: hall.toml.")],
    log_level: Annotated[str, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    child: Annotated[bool, typer.Option("--child", hidden=True, help="End with standard input.")] = False,
) -> None:
    """Send pages to group robots and as text messages (driver = "webhook" or "sms" in hall.toml), until stopped.

    A separate process beside `edged run`: only it talks to the vendors and to gammu-smsd, and only it reads the robots'
    keys. For each such device it listens on a Unix socket, to which the daemon connects.

    \b
    Exit codes: 0 stopped, 2 configuration, no such device in hall.toml, a key, spool or socket that cannot be used.
    Example:    edged pager --config /etc/edged/hall.toml
    """
    from devices.webhook.driver import WebhookOptions
    from devices.webhook.sender import Outlet, Robot, serve
    from devices.webhook.sms import SmsOptions
    from devices.webhook.spool import Spool
    from edged import logs
    from edged.config import ConfigErrors, load
    from edged.parent import end_with_parent

    logs.configure(log_level)
    if child:
        end_with_parent(lambda: os._exit(0))
    try:
        found = load(config)
        outlets: list[tuple[Outlet, str]] = []
        for device in found.devices:
            if isinstance(device.options, WebhookOptions):
                outlets.append((Robot(device.id, device.options), device.options.socket(device.id)))
            elif isinstance(device.options, SmsOptions):
                outlets.append((Spool(device.id, device.options), device.options.socket(device.id)))
        if not outlets:
            raise fail(f'{config} has no device with driver = "webhook" or "sms"', 2)
        asyncio.run(serve(outlets, lambda: print("edged pager: ready", flush=True)))
    except ConfigErrors as errors:
        raise fail("\n".join(errors.lines), 2) from None
    except (OSError, ValueError) as error:
        raise fail(f"edged pager: {error}", 2) from None
    except KeyboardInterrupt:
        pass
    finally:
        logs.drain()
