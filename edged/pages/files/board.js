// The public call board (叫号屏). Chinese first and English beside it: a board has no switch.
// It never shows an old call as if it were new: five seconds without a sign of life, and it sends people to the windows.
// /board?sound=chime plays two notes at a call, ?sound=speech says it too (a browser wants --autoplay-policy=no-user-gesture-required).
import { $, clock, dateLine, h, live, patch, s } from "./base.js";
import { connect, now, parts, standing, watch } from "./parts.js";

const STALE_S = 5, ROWS = 5, AREAS_SHOWN = 5, TURN_S = 12, NIGHT_H = 3, SHORT = 4; // signs of a number in the largest type
const only = decodeURIComponent(location.pathname.split("/")[2] ?? "");
const sound = new URLSearchParams(location.search).get("sound") ?? "";
let turn = 0, newest = null;

const number = (id) => parts.names?.windows.find((one) => one.id === id)?.number ?? "";
const areas = () => (parts.names?.areas ?? []).filter((one) => parts[`area/${one.id}`] && (!only || one.id === only)).map((one) => ({ ...one, ...parts[`area/${one.id}`] }));
const calls = () => (parts.calls?.calls ?? []).filter((one) => !only || one.area === only);
const open = (one) => one.hours == null || ["open", "stopped", "draining"].includes(one.hours);

function row(one, fresh) {
  const mark = one.again ? "再次" : null;
  const kind = ["call", fresh && "fresh", one.number.length > SHORT && "long"].filter(Boolean).join(" ");
  return h("li", { class: kind, "data-key": `${one.number}${one.at}` }, h("span", { class: "n" }, one.number, mark && h("span", { class: "mark" }, mark)),
    h("span", { class: "to" }, s("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, s("path", { d: "M3 12h17M13 5l7 7-7 7" })), h("b", {}, number(one.window)), "号窗口"));
}
function where(one) {
  const cells = (mins, next, count, soon = false) => h("li", { class: "where", "data-key": one.id }, h("span", { class: "pair" }, h("span", { class: "name" }, one.name), h("span", { class: "mins" }, mins)), h("span", { class: "pair" }, h("span", { class: soon ? "next soon" : "next" }, next), h("span", { class: "count" }, count)));
  const count = one.waiting ? `${one.waiting} 人在等` : "无人等候";
  if (!open(one)) return cells(h("small", {}, one.opens ? `${clock(one.opens)} 恢复` : ""), one.hours === "noon" ? "午休" : "未开放", one.waiting ? count : "");
  const low = Math.max(0, Math.floor((one.wait_low_s ?? 0) / 60)), high = one.wait_high_s == null ? null : Math.max(1, Math.ceil(one.wait_high_s / 60));
  const mins = high == null ? "" : high <= 5 ? ["5", h("small", {}, " 分钟内")] : [`${low}–${high}`, h("small", {}, high < 100 ? " 分钟" : " 分")];
  if (one.issuing_paused || one.hours === "stopped") return cells(mins, one.issuing_paused ? "暂停取号" : "今日已停止取号", count);
  const next = one.coming?.length ? "即将加开窗口" : one.next?.length ? `下一位 ${one.next.slice(0, only ? 3 : 1).join("、")}` : one.waiting ? "请取号等候" : "可直接取号办理";
  return cells(mins, next, count, Boolean(one.coming?.length));
}
/** What everybody should know: [Chinese, English]. */
function notices() {
  const found = [];
  for (const site of parts.names?.windows ?? []) {
    const one = parts[`window/${site.id}`];
    if (one?.state !== "PAUSED" || (only && !site.areas.includes(only))) continue;
    const others = (parts.names.windows ?? []).filter((each) => each.id !== site.id && !each.tidal && each.areas.some((id) => site.areas.includes(id)) && ["OPEN", "CALLING", "SERVING"].includes(parts[`window/${each.id}`]?.state)).map((each) => each.number);
    const go = others.slice(0, 3);
    found.push([`${site.number}号窗口暂停服务${go.length ? `，请听叫号到${go.join("、")}号窗口` : ""}`, `Window ${site.number} is paused${go.length ? `; you may be called to ${go.join(", ")}` : ""}`]);
  }
  for (const one of areas()) {
    if (one.issuing_paused) found.push([`${one.name}暂停取号，已取号的照常办理`, `${one.name_en}: no new numbers now; numbers taken are served`]);
    if (one.hours === "stopped" || one.hours === "draining") found.push([`${one.name}今日已停止取号，已取号的办完为止`, `${one.name_en}: no more numbers today; all who have one are served`]);
    else if (one.closes && now() && Date.parse(one.closes) - Date.parse(now()) < 3600000) found.push([`${one.name}今日办理至 ${clock(one.closes)}`, `${one.name_en} is open until ${clock(one.closes)}`]);
  }
  if (parts.names?.areas.some((one) => one.id !== only)) found.push(["过号请到取号机按“过号恢复”，不用重新取号", "Missed your call? Press 'I missed my call' at a ticket machine; you keep your number"]);
  return found;
}
/** One sentence instead of everything: [large, line, English], or null. */
function rest() {
  const kind = standing(STALE_S);
  if (kind === "starting") return ["正在连接", "请稍候", "Connecting"];
  if (kind !== "fresh" || !parts.names) return ["请看窗口屏", "本屏暂时收不到信息，请留意窗口显示和现场叫号", "This board has no news: please watch the windows and listen to our staff"];
  const all = areas();
  if (!all.length) return ["没有这个专区", "请检查本屏的地址", "There is no such area: check the address of this board"];
  if (all.some(open) || calls().some((one) => one.at.slice(0, 10) === now().slice(0, 10) && all.some((each) => each.waiting))) return null;
  const noon = all.some((one) => one.hours === "noon"), next = all.map((one) => one.opens).filter(Boolean).sort()[0];
  const today = next && next.slice(0, 10) === now().slice(0, 10);
  if (noon) return ["午间休息", next ? `${clock(next)} 恢复办理` : "", next ? `Lunch break until ${clock(next)}` : "Lunch break"];
  const day = next && new Date(`${next.slice(0, 10)}T12:00:00Z`), tomorrow = next && (Date.parse(`${next.slice(0, 10)}T00:00:00Z`) - Date.parse(`${now().slice(0, 10)}T00:00:00Z`)) / 86400000 === 1;
  const when = !next ? "" : today ? `今日 ${clock(next)} 开门` : tomorrow ? `明日 ${clock(next)} 开门` : `${dateLine(next)} ${clock(next)} 开门`;
  const english = !next ? "" : `Opens ${today ? "today" : tomorrow ? "tomorrow" : day.toLocaleDateString("en-GB", { weekday: "long", timeZone: "UTC" })} at ${clock(next)}`;
  const weekend = [0, 6].includes(new Date(`${now().slice(0, 10)}T12:00:00Z`).getUTCDay());
  return [weekend ? "周末休息" : today ? "尚未开门" : "今日已下班", when, english];
}
function render() {
  const said = rest(), at = now();
  $("#name").textContent = [parts.names?.hall.name, only && areas()[0]?.name].filter(Boolean).join(" · ") || "政务服务大厅";
  document.body.classList.toggle("one", Boolean(only));
  for (const id of ["left", "right"]) $(`#${id}`).hidden = said !== null;
  $("#rest").hidden = said === null;
  $("#clock").textContent = at && standing(STALE_S) === "fresh" ? clock(at) : "";
  $("#date").textContent = at && standing(STALE_S) === "fresh" ? dateLine(at) : "";
  if (said) { patch($("#rest"), h("b", {}, said[0]), h("p", {}, said[1]), h("p", { lang: "en" }, said[2])); $("#foot").hidden = true; $("#calls").replaceChildren(); newest = null; return; }
  const shown = calls().slice(0, ROWS), top = shown[0] && `${shown[0].number}${shown[0].at}`;
  const fresh = newest !== null && top !== newest && shown[0] != null;
  patch($("#calls"), shown.length ? shown.map((one, i) => row(one, i === 0 && (fresh || (top === newest && $(".call")?.classList.contains("fresh"))))) : h("li", { class: "none" }, "请取号等候"));
  if (fresh) announce(shown[0]);
  newest = top ?? "";
  const all = areas(), pages = Math.max(1, Math.ceil(all.length / AREAS_SHOWN)), size = Math.ceil(all.length / pages);
  const page = turn % pages;
  patch($("#areas"), all.slice(page * size, page * size + size).map(where));
  const told = notices(), one = told[turn % Math.max(1, told.length)];
  $("#foot").hidden = !one;
  if (one) patch($("#notice"), h("span", {}, one[0].split(/(?<=，)/).map((piece) => h("span", { class: "piece" }, piece))), h("span", { lang: "en" }, one[1]));
}
let audio = null;
function announce(one) {
  const text = `请 ${one.number} 号到 ${number(one.window)} 号窗口`;
  $("#spoken").textContent = text;
  if (sound === "chime" || sound === "speech") {
    try {
      audio ??= new AudioContext();
      [[660, 0], [528, 0.28]].forEach(([pitch, after]) => {
        const tone = audio.createOscillator(), loud = audio.createGain(), at = audio.currentTime + after;
        tone.frequency.value = pitch;
        loud.gain.setValueAtTime(0.25, at);
        loud.gain.exponentialRampToValueAtTime(0.001, at + 0.5);
        tone.connect(loud).connect(audio.destination);
        tone.start(at);
        tone.stop(at + 0.55);
      });
    } catch { /* no sound here */ }
  }
  if (sound === "speech" && "speechSynthesis" in window) {
    const words = new SpeechSynthesisUtterance(`请，${[...one.number].join(" ")}，号，到，${number(one.window)}，号窗口`);
    words.lang = "zh-CN";
    words.rate = 0.9;
    if (speechSynthesis.pending) speechSynthesis.cancel(); // the newest call counts
    speechSynthesis.speak(words);
  }
}
live(render);
watch(render);
connect("/board/changes");
setInterval(() => { turn += 1; }, TURN_S * 1000);
setInterval(render, 1000);
// A browser that runs for months is given a fresh page at night, when nobody looks.
const began = performance.now();
setInterval(() => { if (performance.now() - began > 6 * 3600000 && new Date().getHours() === NIGHT_H && standing(STALE_S) === "fresh") location.reload(); }, 600000);
