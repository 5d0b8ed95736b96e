// Words of the demo's controls: key: [Chinese, English]. They join those of the pages before anything is drawn.
import { WORDS } from "./words.js";

Object.assign(WORDS, {
  x_title: ["演示大厅：动手试", "Demo hall: try it"], x_scenes: ["情景", "Scenes"], x_ticket: ["取号机", "Ticket dispenser"], x_service: ["业务", "Service"], x_class: ["对象", "Visitor"], x_take: ["取号", "Take a number"],
  x_panel: ["呼叫器", "Call panel"], x_window: ["窗口", "Window"], x_arg: ["附加内容", "With"], x_rate: ["评价器", "Evaluator"], x_count: ["客流计数器", "People counter"], x_people: ["进门人数", "People who come in"], x_in: ["进门", "Come in"],
  x_duty: ["值班长按键", "Keys of the duty manager"], x_key: ["键", "Key"], x_press: ["按下", "Press"], x_see: ["设备现在的样子", "What the devices show"],
  x_hall: ["值班总览", "Duty view"], x_board: ["叫号屏", "Public board"], x_desk: ["值班操作", "Duty desk"], x_replay: ["回放", "Replay"], x_login: ["{n}，PIN {p}", "{n}, PIN {p}"],
  x_ahead: ["前面 {n} 人", "{n} before it"], x_phone: ["手机页", "On a phone"], x_wait: ["约 {a}–{b} 分钟", "{a}–{b} min"],
  x_daemon: ["控制器", "Daemon"], x_broker: ["消息服务器", "Broker"], x_policy: ["策略", "Policy"], x_clock: ["大厅时间", "Hall time"], x_version: ["v{n}", "v{n}"], x_dark: ["（不亮）", "(dark)"], x_up: ["运行中", "runs"], x_down: ["已停", "is down"], x_yours: ["您自己的", "yours"],
  x_rush: ["周一高峰", "Monday rush"], x_rush_s: ["十分钟内来 60 人", "60 people in ten minutes"], x_coach: ["旅行大巴", "Coach party"], x_coach_s: ["40 人同时办税", "40 people at once, for taxes"],
  x_silence: ["无人应答", "Clerk does not answer"], x_silence_s: ["下一位被呼叫的人不理", "The next one paged is silent"], x_led: ["LED 断电", "Unplug the LED"], x_led_s: ["税务大屏；再按接回", "Of taxes; again plugs it in"],
  x_kill_broker: ["杀掉消息服务器", "Kill the broker"], x_kill_broker_s: ["三秒后恢复", "Back after three seconds"], x_kill_daemon: ["kill −9 控制器", "kill −9 the daemon"], x_kill_daemon_s: ["由监护进程拉起", "It is started again"],
  x_harm: ["有害的市策略", "A harmful policy"], x_harm_s: ["停用潮汐；会自动恢复", "No +1 windows; returns by itself"],
  x_normal: ["普通", "Anybody"], x_elderly: ["老年人", "Elderly"], x_disabled: ["残疾人", "Disabled"], x_pregnant: ["孕妇", "Pregnant"], x_military: ["军人", "Military"],
  x_next: ["叫号", "Next"], x_recall: ["重呼", "Recall"], x_arrive: ["到达", "Arrived"], x_finish: ["办结", "Finish"], "x_no-show": ["过号", "No-show"], x_pause: ["暂停", "Pause"], x_unpause: ["恢复", "Go on"], "x_special-need": ["特殊需求", "Special need"], x_transfer: ["转办", "Transfer"], x_login_key: ["登录", "Log in"], x_commissioner: ["呼叫帮办", "Commissioner"],
  "x_force-open": ["强制开放", "Force open"], "x_force-close": ["强制关闭", "Force close"], x_hold: ["保持", "Hold"], x_lift: ["解除", "Lift"], "x_pause-issuing": ["暂停取号", "Pause numbers"], "x_priority-insert": ["插号", "Put first"], "x_extend-hours": ["延时", "Extend hours"], x_accept: ["接受", "Accept"],
  x_serving: ["运行中，进程号 {n}", "serving, pid {n}"], x_ended: ["已退出（{n}），正在重启", "ended with {n}, starting again"], x_starting: ["正在启动", "starting"],
  x_lamps: ["潮汐灯", "+1 lamps"], x_arg_key: ["业务或姓名", "a service, a name"],
  x_arg_accept: ["可不填", "not needed"], "x_arg_force-open": ["12 税务综合", "12 税务综合"], "x_arg_force-close": ["窗口，如 5", "a window: 5"], x_arg_hold: ["窗口，如 12", "a window: 12"], x_arg_lift: ["窗口，如 12", "a window: 12"],
  "x_arg_pause-issuing": ["专区，如 税务综合", "an area: 税务综合"], "x_arg_priority-insert": ["号码，如 A012", "a number: A012"], "x_arg_extend-hours": ["专区，如 税务综合", "an area: 税务综合"],
  x_gone: ["演示已结束", "The demo has ended"],
});
