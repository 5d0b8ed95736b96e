"""Why a signed document was refused, in words that a manager understands, in Chinese and English.

Every refusal has a fixed ``code`` (also a metric label), the path of the faulty value ("" for the whole document) and
both texts. The codes are listed here in the order of the checks.
"""

from __future__ import annotations

from dataclasses import dataclass

from edged import personal, texts

CODES: dict[str, tuple[str, str]] = {
    # code: (English, Chinese); {…} are filled in by the check
    "too-large": (
        "the message has {size} bytes; at most {limit} are allowed",
        "消息有 {size} 字节，最多允许 {limit}",
    ),
    "not-an-envelope": ("the message is not a signed envelope: {detail}", "消息不是签名信封：{detail_zh}"),
    "wrong-payload-type": (
        'the envelope carries "{found}"; this hall accepts "{expected}" here',
        "信封内容类型是“{found}”，此处只接受“{expected}”",
    ),
    "no-keys": (
        "this hall has no signing keys configured ([policy] keys in hall.toml), so it accepts nothing signed",
        "本大厅没有配置签名公钥（hall.toml 的 [policy] keys），不接受任何签名文件",
    ),
    "unknown-signer": (
        'signed with key "{found}", which this hall does not trust; trusted: {known}',
        "签名密钥“{found}”不受本大厅信任；受信任的密钥：{known}",
    ),
    "bad-signature": (
        "the signature does not fit the content: it was changed on the way or signed with another key",
        "签名与内容不符：内容被改动过，或由其他密钥签名",
    ),
    "no-root": (
        "this hall has no root key configured ([policy] root in hall.toml), so it accepts no key list",
        "本大厅没有配置根公钥（hall.toml 的 [policy] root），不接受密钥清单",
    ),
    "key-revoked": (
        "key {key} is revoked by key list version {version}: {detail}; sign it again with a key of that list",
        "密钥 {key} 已被第 {version} 版密钥清单吊销：{detail}；请用清单内的密钥重新签名",
    ),
    "key-not-listed": (
        "key {key} is not in key list version {version}, which counts here; sign it again with a key of that list",
        "密钥 {key} 不在现行的第 {version} 版密钥清单中；请用清单内的密钥重新签名",
    ),
    "key-not-yet": (
        "key {key} may sign from {at} on; use another key until then",
        "密钥 {key} 自 {at} 起才可使用；此前请用其他密钥",
    ),
    "key-ended": (
        "key {key} ended at {at}; sign it again with a newer key, or push a key list with a later end",
        "密钥 {key} 已于 {at} 到期；请用新密钥重新签名，或推送延长期限的密钥清单",
    ),
    "key-scope": (
        "key {key} may not sign this; the key list lets it sign: {may}",
        "密钥 {key} 无权签发此类文件；密钥清单允许它签发：{may}",
    ),
    "not-json": ("the signed content cannot be read: {detail}", "签名内容无法读取：{detail_zh}"),
    "personal-data": (
        "it holds what looks like an identity or mobile number; a hall keeps nobody's: take it out",
        "其中疑似含有身份证号或手机号；大厅不保存个人信息，请删除后重新签名",
    ),
    "not-an-appointment": (
        "it does not have the shape of an appointment",
        "不符合预约消息的格式",
    ),
    "too-many-appointments": (
        "more appointments come than a hall has visitors: this one was not taken, send it again more slowly",
        "预约消息过多，本条未受理，请放慢速度后重新发送",
    ),
    "odd-character": (
        "character {position} is {name}: no board or ticket can show it; take it out and sign again",
        "第 {position} 个字符是不可显示的控制字符（{name}）；请删除后重新签名",
    ),
    "unknown-field": ("this field is not known{hint}", "没有这个字段{hint_zh}"),
    "missing-field": ("this field is required and missing", "缺少此必填字段"),
    "bad-value": ("{detail}", "值不正确：{detail_zh}"),
    "wrong-type": (
        'the document is a "{found}"; expected "{expected}"',
        "文档类型是“{found}”，应为“{expected}”",
    ),
    "wrong-hall": (
        'meant for {found}; this is hall "{hall}"',
        "此文件发给 {found}；本大厅是“{hall}”",
    ),
    "expired": (
        "it expired at {expires}; sign it again with a later date",
        "已于 {expires} 过期；请改期后重新签名",
    ),
    "old-version": (
        "version {version} is not newer than version {high}, which this hall has already seen; "
        "sign it again with a higher version",
        "版本 {version} 不高于本大厅已接受过的版本 {high}；请用更高版本号重新签名",
    ),
    "version-reused": (
        "version {version} was already used for other content; sign it again with a higher version",
        "版本号 {version} 已用于其他内容；请用更高版本号重新签名",
    ),
    "out-of-bounds": (
        "{value} is outside {low} to {high} ({label})",
        "{value} 超出允许范围 {low} 至 {high}（{label_zh}）",
    ),
    "unknown-area": ('this hall has no area "{found}"{hint}', "本大厅没有专区“{found}”{hint_zh}"),
    "unknown-service": (
        'this hall has no service "{found}"{hint}',
        "本大厅没有业务“{found}”{hint_zh}",
    ),
    "unknown-window": (
        'this hall has no window "{found}"{hint}',
        "本大厅没有窗口“{found}”{hint_zh}",
    ),
    "contradiction": ("{detail}", "{detail_zh}"),
    "retained": (
        "a retained message is never an order; push it without the retain flag",
        "保留消息不作为指令；请不带 retain 标志重新推送",
    ),
    "unknown-operation": ('there is no operation "{found}"{hint}', "没有“{found}”这种操作{hint_zh}"),
    "wrong-operation": (
        'signed as "{found}" and sent as "{expected}"',
        "签名的操作是“{found}”，发送的主题是“{expected}”",
    ),
    "out-of-scope": (
        'the key {keyid} may not order "{found}"; hall.toml [duty] operations and the key list say what it may',
        "密钥 {keyid} 无权执行“{found}”；权限见 hall.toml 的 [duty] operations 与密钥清单",
    ),
    "too-long": (
        "it is valid for more than {limit_h} hours; sign it again with a nearer end",
        "有效期超过 {limit_h} 小时；请缩短后重新签名",
    ),
    "not-yet": ("it is valid from {not_before} on", "自 {not_before} 起才有效"),
    "replayed": (
        "counter {counter} of this key is not above {high}, which this hall has already taken; sign it again",
        "该密钥的计数 {counter} 不高于本大厅已接受的 {high}；请重新签名",
    ),
    "not-in-force": (
        "version {found} is not in force here, version {now} is; nothing is rolled back",
        "本大厅现行的是版本 {now}，不是版本 {found}；未回退",
    ),
    "no-earlier-policy": ("there is no earlier policy to return to", "没有可以回退的上一版策略"),
    "made-it-worse": (
        "under version {version} waiting visitors had waited {waited_s} s on average (limit {limit_s} s), so the hall "
        "went back to the last good one; push a better one with a higher version",
        "版本 {version} 生效后等候者平均已等候 {waited_s} 秒（上限 {limit_s} 秒），"
        "大厅已自动恢复上一版；请改进后以更高版本号推送",
    ),
    "taken-back": (
        "version {version} was taken out of force by a signed order; push a higher version",
        "版本 {version} 已由签名指令撤回；请用更高版本号重新推送",
    ),
    "not-done": ("the hall did not do it: {detail}", "大厅未执行：{detail_zh}"),
    "rehearsed-worse": (
        "on the hall's last {days} recorded days waits would be more than {limit} % worse than now: {detail}; push a "
        "better one, or one that allows it (rehearsal.max_worse)",
        "用本大厅最近 {days} 天的数据预演，等候将比现在变差超过 {limit}%：{detail_zh}；"
        "请改进策略，或放宽 rehearsal.max_worse",
    ),
    "not-rehearsed": (
        "it asks for a rehearsal (rehearsal.max_worse), and there was none: {detail}",
        "策略要求先预演（rehearsal.max_worse），但未能预演：{detail_zh}",
    ),
    "failed-before": (
        "this hall's program fails on this document and will not try it again; nothing else is wrong. Report it, and "
        "push a corrected one",
        "本大厅程序处理此文件时出错，今后不再尝试（其他功能不受影响）；请报告此问题，并推送修正后的文件",
    ),
    "busy": ("the hall has too much to do; push it again", "大厅繁忙，请稍后重新推送"),
    "no-storage": (
        "the hall can keep nothing now (its disk is full, or another program has locked its journal); once it can, a "
        "policy comes into force by itself, an order has to be sent again",
        "大厅目前无法保存任何内容（磁盘已满，或日志被其他程序锁定）；恢复后策略会自动生效，指令需重新发送",
    ),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason why a document is refused: a code, the path of the wrong field ("" for the whole document), and a
    sentence in English and Chinese.
    """

    code: str
    path: str
    message: str
    message_zh: str


def reason(code: str, path: str = "", **words: object) -> Reason:
    """Return the reason ``code``, with ``words`` put into its two sentences.

    Text from a message is included without control characters and personal numbers: a refusal is published, stored and
    logged, whoever wrote the message.
    """
    english, chinese = CODES[code]
    safe = {name: _safe(word) for name, word in words.items()}
    return Reason(code, str(_safe(path)), english.format(**safe), chinese.format(**safe))


def _safe(word: object) -> object:
    return word if isinstance(word, int | float) else personal.masked(texts.cleaned(str(word)))


def contradiction(path: str, english: str, chinese: str) -> Reason:
    """A refusal of a value that contradicts another one."""
    return reason("contradiction", path, detail=english, detail_zh=chinese)


class DocumentRefused(Exception):
    """The document is refused; ``reasons`` has at least one entry, all of the same check."""

    def __init__(self, *reasons: Reason) -> None:
        assert reasons
        super().__init__("; ".join(f"{r.path}: {r.message}" if r.path else r.message for r in reasons))
        self.reasons = reasons
