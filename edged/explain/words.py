"""The templates (Chinese, English) from which ``sentences.py`` makes its texts: for kinds of note, tidal rules, reasons
of a decision, and reasons why a window or a person was not chosen.
"""

from __future__ import annotations

from edged.core.people.answers import OVERRIDES as OVERRIDES

Pair = tuple[str, str]

DECISIONS: dict[str, str] = {
    "tidal.requested": "open",
    "tidal.held": "hold",
    "tidal.stale": "hold",
    "tidal.draining": "close",
    "tidal.released": "close",
    "tidal.refused": "refuse",
    "tidal.escalated": "escalate",
    "tidal.asked": "ask",
    "window.lent": "lend",
    "window.returned": "return",
    "override.set": "override",
    "override.expired": "override",
    "policy.harmful": "put-back",
}
IN_SENTENCE = frozenset(
    {"area", "rule", "reason", "candidates", "roster", "chosen_because", "staff", "window", "would"}
)
THRESHOLDS = frozenset(
    {
        "limit_s",
        "threshold",
        "pool",
        "max_windows",
        "close_limit_s",
        "close_at",
        "close_sustain_s",
        "min_open_s",
        "hold_s",
        "release_limit_s",
        "worse_percent",
        "worse_min",
    }
)
SENTENCES: dict[str, Pair] = {
    "tidal.requested": (
        "{area}请求启用{window}号窗口，{called}：{why}",
        "{area}: +1 asked, window {window} ({chosen_because}), {called}: {why}",
    ),
    "tidal.acknowledged": ("{staff}已应答，前往{window}号窗口", "{staff} answered for window {window}"),
    "tidal.unanswered": (
        "{window}号窗口无人到岗（{staff}）",
        "nobody at window {window} ({staff}): {reason}",
    ),
    "tidal.not_now": ("{window}号咨询窗口暂不能受理", "window {window} cannot open now: {answer}"),
    "tidal.wish_over": (
        "{subject}增开窗口申请结束",
        "{subject}: a wish for one more window is over: {outcome}",
    ),
    "tidal.opened": (
        "{window}号窗口已启用，服务{area}，用时{to_staffed_s}",
        "window {window} is open for {area}, {to_staffed_s} after it was asked for",
    ),
    "tidal.held": ("{subject}暂不变动：{reason}；{why}", "{subject}: nothing changed yet, {reason}; {why}"),
    "tidal.draining": ("{window}号窗口收窗：{why}", "window {window} gives back: {why}"),
    "tidal.released": ("{window}号窗口已释放，启用{open_s}", "window {window} released, open {open_s}"),
    "tidal.refused": (
        "{subject}需增开窗口但无法启用：{reason}；{why}",
        "{subject} needs +1, refused: {reason}; {why}",
    ),
    "tidal.escalated": (
        "{subject}{because}，已通知值班长",
        "{subject}: {because}, duty manager paged",
    ),
    "tidal.asked": ("{subject}申请增开窗口：{trigger}", "{subject}: {trigger} asks for +1"),
    "tidal.stale": ("{subject}排队数据已过时", "{subject}: numbers too old, {decides} decides"),
    "tidal.fresh": ("{subject}排队数据已恢复", "{subject}: numbers are fresh again"),
    "window.lent": (
        "{window}号窗口借给{area}，预计等候{predicted_wait_s}",
        "window {window} lent to {area}: {predicted_wait_s} predicted",
    ),
    "window.returned": ("{window}号窗口已归还", "window {window} returned: {reason}"),
    "override.set": ("{by}人工干预{subject}：{override}", "{by} overrides {subject}: {override}"),
    "override.expired": ("{subject}人工干预结束", "override of {subject} ended: {reason}"),
    "device.lost": ("设备失联 {subject}", "device lost: {subject} ({reason})"),
    "device.back": ("设备恢复 {subject}", "device back: {subject}"),
    "policy.harmful": (
        "策略 v{subject}使等候变差，恢复 v{back_to}：{waiting}人平均已等候{waited_s}，上限{limit_s}，"
        "持续{worse_min}分钟（生效时{before_s}{usual}）；{reason}",
        "policy version {subject} made waits worse, version {back_to} returns: {waiting} people have waited "
        "{waited_s} on average, limit {limit_s}, for {worse_min} min ({before_s} when it came{usual}); "
        "{reason}",
    ),
    "policy.kept": (
        "策略 v{subject}观察{watched_min}分钟，正常，继续使用",
        "policy version {subject} was watched for {watched_min} min and is good",
    ),
    "policy.rolled_back": ("恢复策略 v{subject}", "policy version {subject} is back in force"),
    "journal.renewed": (
        "日志缺少{lost}步，以第{epoch}期继续，票号跳过一段",
        "{lost} steps are missing in the journal: it goes on as epoch {epoch}, and numbers are skipped",
    ),
    "journal.outcome_kept": (
        "程序版本已更换：{visits}个号票、{windows}个窗口沿用之前的结果（需核对：{left}）",
        "another version runs now: {visits} tickets and {windows} windows stand as they were decided before"
        " (to be checked: {left})",
    ),
    "hall.safe_mode": (
        "安全模式{on}：控制器反复重启时暂用内置策略，不启用潮汐窗口（原策略 v{policy}）",
        "safe mode {on}: while it lasts policy version {policy} is set aside and the hall goes on without a tide",
    ),
    "policy.applied": ("策略 v{subject}生效", "policy version {subject} applied"),
    "hall.resumed": ("控制器恢复运行，中断{gap_s}", "controller back after {gap_s}, nothing lost"),
}
TRIGGERS: dict[str, Pair] = {
    "special-need": ("特殊需求按键", "the special-need key"),
    "operator": ("人工申请", "an operator"),
    "ask-window": ("人工申请", "an operator"),
}
SAFE_MODE: dict[str, Pair] = {"1": ("开始", "begins"), "0": ("结束", "ends")}
CALLED: Pair = ("呼叫{staff}", "paging {staff}")
LAMP_ONLY: Pair = ("仅亮灯提示", "by its lamp alone")  # nobody is on shift who could be paged
USUAL: Pair = ("，平日此时最多{usual_s}", ", at most {usual_s} at this time on other days")
_CLOSE_PW: Pair = (
    "减少一个窗口后预计等候{with_one_fewer_s}，收窗标准{close_limit_s}",
    "with one fewer newcomers would wait {with_one_fewer_s}, limit {close_limit_s}",
)
RULES: dict[str, Pair] = {
    "predicted-wait": (
        "新取号者预计等候{predicted_wait_s}，启用标准{limit_s}",
        "newcomers would wait {predicted_wait_s}, limit {limit_s}",
    ),
    "queue": ("等候{waiting}人，启用标准{threshold}人", "{waiting} waiting, limit {threshold}"),
    "saturation": (
        "等候{waiting}人，饱和标准{threshold}人",
        "saturated: {waiting} waiting, limit {threshold}",
    ),
    "oldest-wait": (
        "最长已等候{oldest_wait_s}，启用标准{threshold_s}",
        "the oldest visitor has waited {oldest_wait_s}, limit {threshold_s}",
    ),
    "priority-wait": (
        "优先人员已等候{measured_s}，标准{threshold_s}",
        "a priority visitor has waited {measured_s}, limit {threshold_s}",
    ),
    "people": ("厅内{measured}人，标准{threshold}人", "{measured} people in the hall, limit {threshold}"),
    "clerk": ("咨询窗口主动受理", "the clerk of a consultation window called"),
    "special-need": ("特殊需求按键", "the special-need key"),
    "operator": ("人工申请", "asked for by hand"),
    "override": ("人工开放", "forced open by hand"),
    "schedule": ("高峰日历要求开{threshold}个窗口", "the calendar asks for {threshold}"),
    "always": ("策略：始终启用", "rule always"),
    "close:pw": _CLOSE_PW,
    "close:pwf": _CLOSE_PW,
    "close:band": ("等候{waiting}人，收窗标准{close_at}人", "{waiting} waiting, closing limit {close_at}"),
    "close:release": (
        "{asker}更需要：那里预计等候{predicted_wait_s}，这里减少一个窗口后{with_one_fewer_s}",
        "{asker} needs it more: {predicted_wait_s} there, {with_one_fewer_s} here with one fewer",
    ),
    "close:never": ("策略：从不启用", "rule never"),
    "close:schedule": ("高峰日历不再要求", "the calendar asks for fewer"),
}
REASONS: dict[str, Pair] = {
    "window_missed": (
        "按上一版策略{area}此时会再启用一个窗口",
        "the one before would have one more window open for {area} now",
    ),
    "never_so_old": (
        "办事人数与平日此时相当，等候时间却超过一倍",
        "no more visitors per window than on other days, and the queue is far older",
    ),
    "pool": ("潮汐窗口名额已用完（{pool_used}/{pool}）", "the pool is used up ({pool_used} of {pool})"),
    "max_windows": ("已达本区上限（{max_windows}个）", "the area has its maximum ({max_windows})"),
    "no_window": ("没有空闲的潮汐窗口", 'no "+1" window is free'),
    "hall_quiet": ("大厅一小时无人", "the hall has been quiet for an hour"),
    "area_closed": ("不在办理时间", "the area is closed"),
    "too_few_waiting": (
        "不足{min_waiting}人等候，不抽调人员",
        "fewer than {min_waiting} people wait: no staff are called away for them",
    ),
    "closing_soon": ("即将下班，开窗已无益", "the hall closes before it would help"),
    "being_invited": ("正在征询咨询窗口", "a consultation window is being asked"),
    "being_staffed": ("上一个窗口的人员正在到岗", "the last one asked for is still being staffed"),
    "nobody_comes": ("下班后无人到岗，不再呼叫", "nobody came after closing time; not asked again"),
    "nobody_answered": ("刚才无人到岗，稍后再试", "nobody came; asked again later"),
    "too_soon": ("距上次变动太近，还差{left_s}", "too soon after the last change, {left_s} left"),
    "more_expected": ("预计还有人来", "more visitors are expected"),
}
WHY_NOT: dict[str, Pair] = {
    "chosen": ("选中", "chosen"),
    "invited": ("正在征询（{of}）", "being asked for {of}"),
    "later": ("咨询中，稍后再问", "finishes a conversation first"),
    "closed-by-hand": ("人工关闭", "closed by hand"),
    "serves": ("正在服务{of}", "serves {of}"),
    "lit": ("等待到岗（{of}）", "being staffed for {of}"),
    "draining": ("正在收窗", "draining"),
    "cooldown": ("刚收窗，休整中", "resting after +1"),
    "closed": ("未开放", "closed"),
    "nobody-came": ("刚才无人到岗", "nobody came to it a moment ago"),
    "idle": ("空闲，今日已启用{of}次，未轮到", "free, used {of} times today, not its turn"),
    "did-not-answer": ("已呼叫，未到岗", "asked, did not come"),
    "silent": ("待命，上次呼叫未应答，排在最后", "on standby, did not answer the last page: asked last"),
    "free": ("待命，今日{of}次，未轮到", "on standby, {of} turns today, not their turn"),
    "paged": ("已被呼叫到{of}", "paged to {of}"),
    "bound": ("在{of}", "at {of}"),
    "kept-by-hand": ("人工保持", "kept by hand"),
    "activating": ("等待到岗", "being staffed"),
    "idle-later": ("空闲，启用较晚", "free, opened later"),
    "busy": ("正在办理", "busy with a visitor"),
    "absent-today": ("今日不在岗", "absent today"),
    "off-shift": ("不在班次", "off shift"),
    "goes-soon": ("到岗前即下班，不呼叫", "goes off shift before they could be there"),
}
