"""What each pushable value means, English and Chinese: for refusals, the JSON schema and pages.

Keys are ``Class.field`` of ``edged/core/policy.py``; a test holds the two in step.
"""

from __future__ import annotations

LABELS: dict[str, tuple[str, str]] = {
    "Tidal.enabled": ("whether the tidal loop runs", "是否启用潮汐窗口"),
    "Tidal.pool": ('"+1" windows open at once in the whole hall', "全大厅同时启用的潮汐窗口上限"),
    "Tidal.staff_ack_s": ("seconds a paged member of staff has to answer", "待命人员应答时限(秒)"),
    "Tidal.staff_arrive_s": ("seconds an answering member of staff has to arrive", "应答后到岗时限(秒)"),
    "Tidal.retry_s": ("seconds until the next attempt after nobody answered", "无人应答后再次尝试间隔(秒)"),
    "Band.open_above": ('waiting visitors above which a "+1" window opens', "启用潮汐窗口的等候人数"),
    "Band.open_step": (
        "further waiting visitors for each further window",
        "每再启用一个窗口所增加的等候人数",
    ),
    "Band.open_oldest_wait_s": ("longest wait in seconds that opens a window", "启用潮汐窗口的最长等候(秒)"),
    "Band.open_sustain_s": ("seconds the demand must last before opening", "启用前须持续的时间(秒)"),
    "Band.close_at": ("waiting visitors at or below which a window is given back", "收窗的等候人数"),
    "Band.close_sustain_s": ("seconds of calm before a window is given back", "收窗前须平稳的时间(秒)"),
    "Band.min_open_s": ("seconds a window stays open at least", "潮汐窗口最短启用时间(秒)"),
    "Band.cooldown_s": ("seconds between two openings of one area", "同一专区两次启用的间隔(秒)"),
    "Band.max_windows": ('"+1" windows of one area', "一个专区的潮汐窗口上限"),
    "Calling.max_calls": ("calls before a visitor counts as absent", "过号前的呼叫次数"),
    "Calling.call_timeout_s": ("seconds a call waits for the visitor", "每次呼叫的等待时间(秒)"),
    "Calling.revive_within_s": ("seconds in which an absent visitor may come back", "过号后可恢复的时限(秒)"),
    "Calling.infer_arrival_s": ("seconds after a call until arrival is assumed", "呼叫后推定到窗的时间(秒)"),
    "Calling.double_press_ms": ("milliseconds in which two presses are one", "视为同一次按键的间隔(毫秒)"),
    "Calling.priority_streak": ("priority visitors called in a row at most", "连续优先叫号的上限"),
    "Calling.priority_head_start_s": ("seconds a priority visitor is moved ahead", "优先人员提前量(秒)"),
    "Calling.last_calls": ("last calls kept on a display", "屏幕保留的最近叫号数"),
}
