"""Types of text in a policy. The format of each is checked in ``edged/central/policy_model.py``.

In the core they are plain strings; ids of areas, services and windows are checked against the hall when a policy
arrives.
"""

from __future__ import annotations

from typing import Annotated

AreaId = Annotated[str, "area"]
ServiceId = Annotated[str, "service"]
WindowId = Annotated[str, "window"]
StaffId = Annotated[str, "id"]  # not checked: staff may leave before the policy is changed
Word = Annotated[str, "id"]  # a short name of the policy's own, such as a reason or a class
Date = Annotated[str, "date"]  # 2026-10-01
TimeOfDay = Annotated[str, "time"]  # 09:00; 24:00 is the end of the day
Text = Annotated[str, "text"]  # what people read or hear, at most 200 characters
