"""Pages as text messages of gammu-smsd, a program of the distribution that owns a GSM modem. Rules:

* The daemon only talks to `edged pager` on this machine (as for robots); that process hands messages to gammu-smsd.
* A page is delivered when gammu-smsd says that the network took it. Whether it was read nobody knows.
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
    """``people``: channel -> mobile number. ``config``: gammu-smsd's own file; ``pid_file``: its process number."""

    people: Annotated[dict[PersonName, MobileNumber], Meta(min_length=1, max_length=PEOPLE_MAX)]
    config: File = "/etc/gammu-smsdrc"
    pid_file: File = "/run/gammu-smsd.pid"

    def point_channels(self) -> frozenset[str]:
        """Somebody with a number: a message to nobody cannot be sent."""
        return frozenset(self.people)

    def whom(self, person: str) -> str:
        """The mobile number."""
        return self.people[person]


class Sms(Webhook):
    """Driver of one modem. Points: ``device/person``."""

    OPTIONS: ClassVar[type[Options]] = SmsOptions
