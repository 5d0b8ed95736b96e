"""Why a signed document was refused, in words a manager understands, Chinese and English.

Rules: every refusal has a fixed ``code`` (also a metric label), the path of the value at fault ("" for the whole
document) and both texts; the codes are listed here once, in the order in which the checks are made.
"""

from __future__ import annotations

from dataclasses import dataclass

CODES: dict[str, tuple[str, str]] = {
    # code: (English, Chinese); {…} are filled in by the check
    "too-large": (
        "the message has {size} bytes; at most {limit} are allowed",
        "消息有 {size} 字节,最多允许 {limit}",
    ),
    "not-an-envelope": ("the message is not a signed envelope: {detail}", "消息不是签名信封:{detail}"),
    "wrong-payload-type": (
        'the envelope carries "{found}"; this hall accepts "{expected}" here',
        "信封内容类型是“{found}”,此处只接受“{expected}”",
    ),
    "no-keys": (
        "this hall has no signing keys configured ([policy] keys in hall.toml), so it accepts nothing signed",
        "本大厅没有配置签名公钥(hall.toml 的 [policy] keys),不接受任何签名文件",
    ),
    "unknown-signer": (
        'signed with key "{found}", which this hall does not trust; trusted: {known}',
        "签名密钥“{found}”不受本大厅信任;受信任的密钥:{known}",
    ),
    "bad-signature": (
        "the signature does not fit the content: it was changed on the way or signed with another key",
        "签名与内容不符:内容被改动过,或由其他密钥签名",
    ),
    "not-json": ("the signed content cannot be read: {detail}", "签名内容无法读取:{detail}"),
    "unknown-field": ("this field is not known{hint}", "没有这个字段{hint_zh}"),
    "missing-field": ("this field is required and missing", "缺少此必填字段"),
    "bad-value": ("{detail}", "值不正确:{detail_zh}"),
    "wrong-type": (
        'the document is a "{found}"; expected "{expected}"',
        "文档类型是“{found}”,应为“{expected}”",
    ),
    "wrong-hall": (
        'meant for {found}; this is hall "{hall}"',
        "此文件发给 {found};本大厅是“{hall}”",
    ),
    "expired": (
        "it expired at {expires}; sign it again with a later date",
        "已于 {expires} 过期;请改期后重新签名",
    ),
    "old-version": (
        "version {version} is not newer than version {high}, which this hall has already seen; "
        "sign it again with a higher version",
        "版本 {version} 不高于本大厅已接受过的版本 {high};请用更高版本号重新签名",
    ),
    "version-reused": (
        "version {version} was already used for other content; sign it again with a higher version",
        "版本号 {version} 已用于其他内容;请用更高版本号重新签名",
    ),
    "out-of-bounds": (
        "{value} is outside {low} to {high} ({label})",
        "{value} 超出允许范围 {low} 至 {high}({label_zh})",
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
    "no-storage": (
        "the hall's disk is full or broken, so nothing can be kept; push it again after repair",
        "大厅磁盘已满或损坏,无法保存;修复后请重新推送",
    ),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a refusal."""

    code: str
    path: str
    message: str
    message_zh: str


def reason(code: str, path: str = "", **words: object) -> Reason:
    """The reason ``code`` with its blanks filled."""
    english, chinese = CODES[code]
    return Reason(code, path, english.format(**words), chinese.format(**words))


def contradiction(path: str, english: str, chinese: str) -> Reason:
    """The refusal of a field that does not go with another one."""
    return reason("contradiction", path, detail=english, detail_zh=chinese)


class DocumentRefused(Exception):
    """The document is refused; ``reasons`` has at least one entry, all of the same check."""

    def __init__(self, *reasons: Reason) -> None:
        assert reasons
        super().__init__("; ".join(f"{r.path}: {r.message}" if r.path else r.message for r in reasons))
        self.reasons = reasons
