"""Finds calling rules, priority classes and journeys of a policy that contradict each other or themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from edged.central.audience import Names
from edged.central.refusals import Reason, contradiction
from edged.core.model.events import CLASSES
from edged.core.model.policy import Calling, Policy, Visits
from edged.core.queue.ordering import ANYBODY, FIRST, RETURNING, WITHOUT_HEAD_START


def visit_contradictions(policy: Policy) -> Iterator[Reason]:
    """Yield a refusal for every contradiction in the sections ``calling`` and ``visits``."""
    yield from _of_calling(policy.calling)
    yield from _of_visits(policy.visits)


def _of_calling(calling: Calling) -> Iterator[Reason]:
    known = [name for name in CLASSES if name not in WITHOUT_HEAD_START]
    for name, own in calling.classes.items():
        path = f"body.calling.classes.{name}"
        if name in (*WITHOUT_HEAD_START, RETURNING, FIRST):
            yield contradiction(path, "no class can be called that", "类别不能使用此名称")
        elif name not in known and not own.label:
            words = ", ".join(known)
            yield contradiction(
                path,
                f"no class is called that ({words}); one of the policy's own needs a label",
                f"没有此类别（已有：{words}）；自定类别须填写名称 label",
            )
        if own.streak is not None and own.streak > calling.priority_streak:
            yield contradiction(
                f"{path}.streak",
                f"it cannot be above priority_streak ({calling.priority_streak}), which limits all classes together",
                f"不得大于所有优先人员的上限 priority_streak（{calling.priority_streak}）",
            )
    for number, rule in enumerate(calling.rules):
        path = f"body.calling.rules[{number}]"
        classes = {*known, *calling.classes, *WITHOUT_HEAD_START, RETURNING}
        for wrong in dict.fromkeys(one for one in rule.priorities if one not in classes):
            yield contradiction(f"{path}.priorities", f"there is no class {wrong}", f"没有人群类别 {wrong}")
        if replace(rule, name=None) == ANYBODY:
            yield contradiction(
                path,
                "a rule without a condition fits everybody: no rule after it would ever count",
                "没有条件的规则适用于所有人，其后的规则永远不会生效",
            )


def dead_ends(policy: Policy, known: Names) -> Iterator[Reason]:
    """Yield a refusal for each journey through a service that no window of the hall has, and each calling rule that
    could never apply because none of its windows has a service that it is about.
    """
    for number, rule in enumerate(policy.calling.rules):
        windows = rule.windows or tuple(known.serves)
        services = {service for window in windows for service in known.serves.get(window, ())}
        areas = set(rule.areas or known.area_of.values())
        if known.serves and not any(
            known.area_of.get(service) in areas and service in (rule.services or services)
            for service in services
        ):
            yield contradiction(
                f"body.calling.rules[{number}]",
                f"none of these windows ({', '.join(windows[:9])}) serves such a service: the rule would never count",
                f"所列窗口（{'、'.join(windows[:9])}）均不办理该业务，此规则永远不会生效",
            )
    for name, journey in policy.visits.journeys.items():
        for number, service in enumerate(journey.stages):
            if service in known.unserved:
                yield contradiction(
                    f"body.visits.journeys.{name}.stages[{number}]",
                    f"no window of this hall serves {service}: the journey would never end",
                    f"本大厅没有窗口办理 {service}，流程无法完成",
                )


def _of_visits(visits: Visits) -> Iterator[Reason]:
    for name, journey in visits.journeys.items():
        path = f"body.visits.journeys.{name}.stages"
        if len(journey.stages) < 2:
            yield contradiction(path, "a journey has two stages at least", "至少需要两个环节")
        for service in dict.fromkeys(s for s in journey.stages if journey.stages.count(s) > 1):
            yield contradiction(
                path,
                f"it comes back to {service}: a journey that is a circle",
                f"环节 {service} 重复，流程成环",
            )
    if visits.callable_early_s > visits.check_in_early_s:
        yield contradiction(
            "body.visits.callable_early_s",
            f"nobody can be called {visits.callable_early_s} s before the start, where checking in begins "
            f"{visits.check_in_early_s} s before it",
            "可提前叫号的时间不得超过可提前签到的时间",
        )
    if visits.booking_expires_s < visits.check_in_late_s:
        yield contradiction(
            "body.visits.booking_expires_s",
            f"an appointment would be forgotten before it is late (check_in_late_s {visits.check_in_late_s})",
            f"预约会在迟到时限（{visits.check_in_late_s}秒）之前失效",
        )
