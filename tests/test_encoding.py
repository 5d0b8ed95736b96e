"""Files that an editor saved in another encoding than UTF-8 are named as what they are, with the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged import descriptions, strict_json
from edged.encoding import NotUtf8, file_text, text_of
from edged.links.mqtt.settings import first_line
from tests.support.daemons import edged

ROOT = Path(__file__).parents[1]


def found_encoding(data: bytes) -> tuple[str, int, int, str]:
    """Return the encoding found in ``data``, and line, column and text of the first such place."""
    with pytest.raises(NotUtf8) as refused:
        text_of(data)
    error = refused.value
    return error.what, error.line, error.column, error.begins


GBK = "GBK text, not UTF-8"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("# 大厅\n".encode("gbk"), (GBK, 1, 3, "大厅")),
        ("a = 1\nname = '税务综合'\n".encode("gbk"), (GBK, 2, 9, "税务综合")),
        ("name = '朱镕基喆'\narea = '不动产登记综合服务专区'".encode("gbk"), (GBK, 1, 9, "朱镕基喆")),
        ("# 税务\nname = '".encode() + "社保".encode("gbk"), (GBK, 2, 9, "社保")),
        ("# 税务综合".encode()[:-1], ("byte 0xE5 is not UTF-8 text", 1, 6, "")),
        ("café Müller".encode("latin-1"), ("byte 0xE9 is not UTF-8 text", 1, 4, "")),
        (b"id = '\xff'", ("byte 0xFF is not UTF-8 text", 1, 7, "")),
        ("大厅".encode("utf-16"), ("UTF-16 text, not UTF-8", 1, 1, "")),
        (b"\xfe\xff\x00a", ("UTF-16 text, not UTF-8", 1, 1, "")),
    ],
)
def test_the_kind_and_place_of_a_wrong_encoding_are_named(
    data: bytes, expected: tuple[str, int, int, str]
) -> None:
    assert found_encoding(data) == expected


def test_every_chinese_line_of_ours_saved_as_gbk_is_recognised_as_gbk() -> None:
    """Whatever line stands first in a file saved as GBK: it is not taken for something else, nor for UTF-8."""
    pages = [*ROOT.glob("*.zh-CN.md"), *ROOT.glob("configs/*.zh-CN.md"), *ROOT.glob("configs/*.toml")]
    lines = {line for page in pages for line in page.read_text("utf-8").splitlines() if not line.isascii()}
    lines = {line for line in lines if any("\u4e00" <= char <= "\u9fff" for char in line)}
    assert len(lines) > 300
    assert [line for line in lines if found_encoding(line.encode("gb18030"))[0] != GBK] == []


def test_a_byte_order_mark_at_the_beginning_is_skipped(tmp_path: Path) -> None:
    file = tmp_path / "saved.toml"
    file.write_bytes("name = '大厅'".encode("utf-8-sig"))
    assert file_text(file) == "name = '大厅'"


def test_a_secret_in_a_wrong_encoding_is_not_quoted_in_the_error(tmp_path: Path) -> None:
    file = tmp_path / "mqtt.password"
    file.write_bytes("口令秘密一二三".encode("gbk"))
    with pytest.raises(ValueError, match="GBK text, not UTF-8") as refused:
        first_line(str(file))
    assert "口" not in str(refused.value)


def test_device_descriptions_and_policies_in_gbk_are_refused_with_the_place(tmp_path: Path) -> None:
    file = tmp_path / "board.toml"
    file.write_bytes("label = 'x'\n# 继电器模块\n".encode("gbk"))
    with pytest.raises(ValueError, match=r'line 2: GBK text, not UTF-8 .column 3 "继电器模块".'):
        descriptions.table(file)
    with pytest.raises(
        strict_json.NotStrictJson, match=r"GBK text, not UTF-8 .line 1, column 11."
    ) as refused:
        strict_json.parse_document('{"name": "税务综合"}'.encode("gbk"), 1000)
    assert refused.value.reason == "not_utf8"


def test_commands_name_a_gbk_file_in_their_output(tmp_path: Path) -> None:
    policy, acl = tmp_path / "policy.json", tmp_path / "edged.acl"
    policy.write_bytes('{"reason": "税务综合等候过长"}'.encode("gbk"))
    done = edged("policy", "check", str(policy))
    assert (done.returncode, "GBK text, not UTF-8" in done.stdout + done.stderr) == (1, True), done
    acl.write_bytes("# 呼叫器\nuser panel-w1\n".encode("gbk"))
    done = edged("check", str(ROOT / "configs" / "hall-example.toml"), "--acl", str(acl))
    assert (done.returncode, "GBK text, not UTF-8" in done.stdout + done.stderr) == (2, True), done
    assert "edged.acl:1: GBK" in done.stderr
