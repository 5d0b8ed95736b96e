"""Every topic between a hall and the centre, in one place (the devices' topics belong to their drivers).

``CONTRACT`` is the definition; tests compare the broker's access lists, the bridge's configuration and
configs/asyncapi.yaml with it. Everything works over MQTT 3.1.1: an answer on a response topic (MQTT 5) only arrives
sooner than the event ``operation.done|refused``, which says the same.

Ids in topics are ``[a-z0-9][a-z0-9-]{0,31}`` (checked when hall.toml is read), so they contain no separator or
wildcard.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple


class Topic(NamedTuple):
    """A topic of the interface. ``way``: up to the centre, down to the hall, or local (between the hall's broker and
    the hall).
    """

    address: str
    way: Literal["up", "down", "local"]
    retained: bool = False

    def at(self, **names: str) -> str:
        """The topic with its placeholders replaced by ``names``."""
        return self.address.format_map(names)

    @property
    def filter(self) -> str:
        """The subscription filter that matches this topic for all halls (every placeholder becomes ``+``)."""
        return re.sub(r"\{\w+\}", "+", self.address)


STATUS = Topic("hall/{hall}/status", "up", retained=True)
LINE = Topic("hall/{hall}/line", "up", retained=True)
JOURNAL = Topic("hall/{hall}/journal", "local", retained=True)
AREA_STATE = Topic("hall/{hall}/state/area/{area}", "up", retained=True)
WINDOW_STATE = Topic("hall/{hall}/state/window/{window}", "up", retained=True)
CASES_STATE = Topic("hall/{hall}/state/cases", "up", retained=True)
ALARMS_STATE = Topic("hall/{hall}/state/alarms", "up", retained=True)
PAGE = Topic("hall/{hall}/page/{part}", "local", retained=True)
PAGE_AREA = Topic("hall/{hall}/page/area/{area}", "local", retained=True)
PAGE_LINE = Topic("hall/{hall}/page/line/{area}", "local", retained=True)
PAGE_WINDOW = Topic("hall/{hall}/page/window/{window}", "local", retained=True)
EVENTS = Topic("hall/{hall}/events", "up")
EVENTS_ACK = Topic("hall/{hall}/events/ack", "down")
POLICY_PUSH = Topic("hall/{hall}/policy/push", "down")
GROUP_POLICY_PUSH = Topic("city/{group}/policy/push", "down")
POLICY_REPORT = Topic("hall/{hall}/policy/report", "up", retained=True)
KEYS_PUSH = Topic("hall/{hall}/keys/push", "down")
GROUP_KEYS_PUSH = Topic("city/{group}/keys/push", "down")
KEYS_REPORT = Topic("hall/{hall}/keys/report", "up", retained=True)
OPERATION = Topic("hall/{hall}/ops/{operation}", "down")
ANSWER = Topic("hall/{hall}/answer/{request}", "up")
APPOINTMENTS = Topic("hall/{hall}/appointments", "down")

CONTRACT = (
    *(
        STATUS,
        LINE,
        JOURNAL,
        AREA_STATE,
        WINDOW_STATE,
        CASES_STATE,
        ALARMS_STATE,
        PAGE,
        PAGE_AREA,
        PAGE_LINE,
        PAGE_WINDOW,
    ),
    *(EVENTS, EVENTS_ACK, POLICY_PUSH, GROUP_POLICY_PUSH, POLICY_REPORT),
    *(KEYS_PUSH, GROUP_KEYS_PUSH, KEYS_REPORT, OPERATION, ANSWER, APPOINTMENTS),
)


def status(hall: str) -> str:
    """The topic that says whether the hall is online, degraded or offline (retained, with an MQTT will)."""
    return STATUS.at(hall=hall)


def line(hall: str) -> str:
    """The topic that says whether the bridge between the hall's broker and the city's is connected: 1 or 0, published
    by the bridge (retained, with an MQTT will).
    """
    return LINE.at(hall=hall)


def page(hall: str, part: str) -> str:
    """The topic of one page part (retained). ``part``: names, window/ID, area/ID, calls, decisions, alarms and so
    on.
    """
    return PAGE.at(hall=hall, part=part)


def journal(hall: str) -> str:
    """The topic on which the hall publishes the number of its journal's last step (retained). Only the hall reads it
    again, to notice that its journal has lost its end (``witness.py``).
    """
    return JOURNAL.at(hall=hall)


def area_state(hall: str, area: str) -> str:
    """The topic of an area's state message (retained)."""
    return AREA_STATE.at(hall=hall, area=area)


def cases_state(hall: str) -> str:
    """The topic of the state message about open cases (retained)."""
    return CASES_STATE.at(hall=hall)


def window_state(hall: str, window: str) -> str:
    """The topic of a window's state message (retained)."""
    return WINDOW_STATE.at(hall=hall, window=window)


def alarms_state(hall: str) -> str:
    """The topic of the state message about alarms in force (retained)."""
    return ALARMS_STATE.at(hall=hall)


def events(hall: str) -> str:
    """The topic on which the hall sends its events to the centre."""
    return EVENTS.at(hall=hall)


def events_ack(hall: str) -> str:
    """The topic on which the centre acknowledges events: the message has the number up to which it has stored all of
    them.
    """
    return EVENTS_ACK.at(hall=hall)


def policy_push(hall: str) -> str:
    """The topic for a signed policy for this hall."""
    return POLICY_PUSH.at(hall=hall)


def group_policy_push(group: str) -> str:
    """The topic for a signed policy for all halls of a group."""
    return GROUP_POLICY_PUSH.at(group=group)


def policy_report(hall: str) -> str:
    """The topic of the hall's answer to pushed policies (retained): desired, applied, state, reason."""
    return POLICY_REPORT.at(hall=hall)


def keys_push(hall: str) -> str:
    """The topic for a signed key list for this hall."""
    return KEYS_PUSH.at(hall=hall)


def group_keys_push(group: str) -> str:
    """The topic for a signed key list for all halls of a group."""
    return GROUP_KEYS_PUSH.at(group=group)


def keys_report(hall: str) -> str:
    """The topic of the hall's answer to key lists (retained): desired, applied, state, reason."""
    return KEYS_REPORT.at(hall=hall)


def operation(hall: str, name: str) -> str:
    """The topic for the signed operation ``name`` (never retained)."""
    return OPERATION.at(hall=hall, operation=name)


def answer(hall: str, request: str) -> str:
    """The topic for the answer to an operation (MQTT 5 response topic); answers are sent to no other topics."""
    return ANSWER.at(hall=hall, request=request)


def appointments(hall: str) -> str:
    """The topic on which the centre sends the hall the appointments that visitors made with the centre."""
    return APPOINTMENTS.at(hall=hall)
