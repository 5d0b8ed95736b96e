"""Pages (calls to members of staff) as messages of a chat group's robot (WeCom, DingTalk, Feishu) or as text messages,
sent by the separate process `edged pager`.
"""
