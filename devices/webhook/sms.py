"""Pages as text messages, sent by gammu-smsd, a Debian program that controls a GSM modem. Rules:

* The daemon only talks to `edged pager` on this machine (as for robots); that process gives messages to gammu-smsd.
* A page is delivered when gammu-smsd reports that the network accepted it. Whether it was read is not known.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from devices.webhook.driver import PEOPLE_MAX, PagerOptions, PersonName, Webhook
from edged.driver import Options
from edged.shapes import form

MobileNumber = Annotated[str, form(r"^\+?[0-9]{3,20}$")]
File = Annotated[str, Meta(min_length=1, max_length=4096)]


class SmsOptions(PagerOptions, frozen=True, kw_only=True):
    """Options of one modem. ``people``: channel -> mobile number. ``config``: gammu-smsd's configuration file.
    ``pid_file``: the file in which gammu-smsd writes its process id.
    """

    people: Annotated[dict[PersonName, MobileNumber], Meta(min_length=1, max_length=PEOPLE_MAX)]
    config: File = "/etc/gammu-smsdrc"
    pid_file: File = "/run/gammu-smsd.pid"

    def point_channels(self) -> frozenset[str]:
        """The channels that hall.toml may name: the names in ``people``. The device id alone may not be named, because
        a text message needs a number.
        """
        return frozenset(self.people)

    def whom(self, person: str) -> str:
        """The mobile number of a person."""
        return self.people[person]


class Sms(Webhook):
    """Driver of one modem for text messages. hall.toml addresses a person as ``device/PERSON``, with a name in
    ``people``.
    """

    OPTIONS: ClassVar[type[Options]] = SmsOptions
