"""Pages as messages of a group robot (WeCom, DingTalk, Feishu), sent by a process of its own: `edged pager`."""
