"""Makes the settings of the MQTT link from ``[mqtt]`` of hall.toml."""

from __future__ import annotations

from dataclasses import replace

from edged.config import ConfigErrors, HallConfig
from edged.links.mqtt.settings import MqttSettings, first_line

# What it means for the hall while a process has no connection to the broker, for the log.
HALL_ALONE = (
    "devices on MQTT send nothing and show nothing new, and nothing reaches the centre;"
    " devices on serial lines and TCP go on"
)
PAGES_STALE = "the web pages show the hall as it was and can send no orders; the hall itself goes on"


def client_id(config: HallConfig) -> str:
    """The MQTT client id with which the daemon connects to the hall's broker."""
    return config.mqtt.client_id or f"edged-{config.hall}"


def password(config: HallConfig) -> str | None:
    """The broker password: the first line of ``[mqtt] password_file``; None if hall.toml names no such file. Raises
    ``ConfigErrors`` if the file cannot be read.
    """
    file = config.mqtt.password_file
    if file is None:
        return None
    try:
        return first_line(file)
    except (OSError, ValueError) as error:
        raise ConfigErrors([f"{config.file}: mqtt.password_file: {file} cannot be read: {error}"]) from None


def secret_files(config: HallConfig) -> dict[str, str]:
    """Every file that is needed to connect to the broker, with the key of hall.toml that names it."""
    mqtt, tls = config.mqtt, config.mqtt.tls
    named = {"mqtt.password_file": mqtt.password_file}
    if tls is not None:
        named |= {
            "mqtt.tls.ca_file": tls.ca_file,
            "mqtt.tls.cert_file": tls.cert_file,
            "mqtt.tls.key_file": tls.key_file,
        }
    return {str(file): key for key, file in named.items() if file is not None}


def spoilt_secrets(config: HallConfig) -> dict[str, str]:
    """The files of ``secret_files`` that cannot be used, each with the reason: unreadable, not a
    certificate, or a certificate that does not belong to the key.
    """
    import ssl

    found: dict[str, str] = {}
    for file in secret_files(config):
        try:
            first_line(file)
        except OSError as error:
            found[file] = f"cannot be read: {error.strerror or error}"
        except ValueError:
            found[file] = "is no text"
    tls = config.mqtt.tls
    if tls is None:
        return found
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if tls.ca_file not in found:
        try:
            context.load_verify_locations(tls.ca_file)
        except (OSError, ValueError):  # SSLError is an OSError
            found[tls.ca_file] = "holds no certificate in PEM form"
    if tls.cert_file is not None and not {tls.cert_file, tls.key_file} & found.keys():
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file, password="")
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None)
            text = (
                "is not the certificate of that key" if reason == "KEY_VALUES_MISMATCH" else "cannot be used"
            )
            found[tls.cert_file] = f"{text}, with {tls.key_file}"
    return found


def link_settings(config: HallConfig, will: tuple[str, bytes] | None = None) -> MqttSettings:
    """Settings of the daemon's link; ``will``: topic and payload of the message that the broker publishes, retained,
    when the daemon is gone. Password and certificates are read at each connection.
    """
    mqtt, tls = config.mqtt, config.mqtt.tls
    return MqttSettings(
        client_id=client_id(config),
        host=mqtt.host,
        port=mqtt.port,
        protocol=mqtt.protocol,
        ping_topic=f"hall/{config.hall}/edged/ping/{client_id(config)}",
        username=mqtt.username,
        password_file=None if mqtt.password_file is None else str(mqtt.password_file),
        keepalive_s=mqtt.keepalive_s,
        tls_ca=None if tls is None else tls.ca_file,
        tls_cert=None if tls is None else tls.cert_file,
        tls_key=None if tls is None else tls.key_file,
        will_topic=None if will is None else will[0],
        will_payload=b"" if will is None else will[1],
        down_effect=HALL_ALONE,
    )


def pages_settings(config: HallConfig) -> MqttSettings:
    """Settings of the link of `edged web`: the daemon's, but with a client id of its own, the account of [pages] if it
    names one, and no session kept at the broker.
    """
    pages, own = config.pages, link_settings(config)
    certified = pages.cert_file is not None
    named = pages.username is not None
    return replace(
        own,
        client_id=f"edged-web-{config.hall}",
        ping_topic=f"hall/{config.hall}/edged/ping/edged-web",
        username=pages.username if named or certified else own.username,
        password_file=pages.password_file if named or certified else own.password_file,
        tls_cert=pages.cert_file if certified else own.tls_cert,
        tls_key=pages.key_file if certified else own.tls_key,
        lasting=False,
        down_effect=PAGES_STALE,
    )
