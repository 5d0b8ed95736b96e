"""Section ``visits``: absence, parking, return, appointments, journeys and promised papers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Annotated

from edged.core.model.policy.parameter import Parameter
from edged.core.model.policy.words import ServiceId, Text, Word
from edged.core.model.value import value


@value
class Journey:
    """Several services that a visitor gets with one number, one after the other (一件事一次办). ``stages`` are their
    ids in this order.
    """

    stages: Annotated[tuple[ServiceId, ...], Parameter("the services, in order", "依次办理的业务")]
    label: Annotated[Text | None, Parameter("the journey in Chinese", "事项名称（中文）")] = None
    label_en: Annotated[Text | None, Parameter("the journey in English", "事项名称（英文）")] = None


@value
class Paper:
    """The names of a paper (材料) in two languages; clerks type its code."""

    text: Annotated[Text, Parameter("name of a paper, Chinese", "材料名称（中文）")]
    text_en: Annotated[Text, Parameter("name of a paper, English", "材料名称（英文）")]


PAPERS: Mapping[str, Paper] = {
    "id-card": Paper("身份证原件", "identity card"),
    "id-copy": Paper("身份证复印件", "copy of the identity card"),
    "photo": Paper("证件照片", "photograph"),
    "contract": Paper("合同", "contract"),
    "licence": Paper("营业执照", "business licence"),
    "proxy": Paper("授权委托书", "power of attorney"),
    "form": Paper("申请表", "application form"),
    "proof": Paper("证明材料", "supporting document"),
}


@value
class Visits:
    """Limits for absence, parking (a visitor is put aside for a while), return, appointments and journeys.

    ``reoffer_s``: how long after a no-show the visitor is put back into the queue (0: never); ``reoffers``: how often.
    ``park_s``: after how long a parked visitor is back in the queue, unless the clerk chose a time (0: only by key).
    ``queue_unprinted``: a number whose printing failed stays in the queue; otherwise it is not called before it was
    reprinted.

    ``return_within_s``: how long a visitor who was told which papers are missing may come back with the same number (0:
    a new number is needed). ``return_to_owner``: that visitor goes to the window that told them. ``papers``: names of
    papers, by code. ``promise_days``: working days in which promised papers must be brought (容缺受理).

    ``owner_told_s``: while a transferred visitor waits, the clerk who served them first (首问负责) gets a message at
    this interval (0: never). An appointment may check in from ``check_in_early_s`` before its start, and may be called
    from ``callable_early_s`` before it. It keeps its priority until ``check_in_late_s`` after its start, and is deleted
    ``booking_expires_s`` after it if nobody came.
    """

    reoffer_s: Annotated[
        int,
        Parameter(
            "seconds until an absent visitor is back in the queue; 0 never",
            "过号后重新排队的等待时间（秒，0为关闭）",
            0,
            3600,
        ),
    ] = 300
    reoffers: Annotated[
        int, Parameter("times an absent visitor is put back into the queue", "过号后重新排队的次数", 0, 3)
    ] = 1
    park_s: Annotated[
        int,
        Parameter(
            "seconds until a parked visitor waits again; 0 only by key",
            "挂起后自动恢复时间（秒，0为按键）",
            0,
            14400,
        ),
    ] = 1800
    return_within_s: Annotated[
        int,
        Parameter(
            "seconds in which a visitor may be back with missing papers without a new number; 0 never",
            "补齐材料免重新取号的时限（秒，0为须重新取号）",
            0,
            36000,
        ),
    ] = 14400
    return_to_owner: Annotated[
        bool, Parameter("whether they go back to the window that told them", "返回时是否由原窗口办理")
    ] = False
    queue_unprinted: Annotated[
        bool, Parameter("whether a number whose printing failed stays in the queue", "打印失败的号是否仍排队")
    ] = True
    check_in_early_s: Annotated[
        int,
        Parameter(
            "seconds before its start an appointment may check in", "预约可提前签到的时间（秒）", 0, 14400
        ),
    ] = 3600
    callable_early_s: Annotated[
        int, Parameter("seconds before its start it may be called", "预约可提前叫号的时间（秒）", 0, 3600)
    ] = 300
    check_in_late_s: Annotated[
        int,
        Parameter("seconds after its start it keeps its priority", "预约迟到仍保留优先的时间（秒）", 0, 7200),
    ] = 900
    booking_expires_s: Annotated[
        int,
        Parameter(
            "seconds after its start it is forgotten, if unclaimed", "预约未签到的失效时间（秒）", 0, 36000
        ),
    ] = 7200
    promise_days: Annotated[
        int, Parameter("working days to keep a promise in", "容缺承诺补交时限（工作日）", 1, 60)
    ] = 5
    papers: Annotated[Mapping[Word, Paper], Parameter("names of papers, by code", "材料名称（按代码）")] = (
        field(default_factory=lambda: PAPERS)
    )
    owner_told_s: Annotated[
        int,
        Parameter(
            "seconds until the first owner is told that a transferred visitor still waits",
            "转办后仍未办理时提醒首问负责人的时间（秒）",
            0,
            7200,
        ),
    ] = 900
    journeys: Annotated[
        Mapping[Word, Journey],
        Parameter("several services for one number, in order", "一件事一次办（一个号依次办理的业务）"),
    ] = field(default_factory=dict)
