// The duty desk. Each act carries a name, a reason and an end; the answer is the hall's own, and what stands is shown below it.
import { $, alarmWord, clock, h, lang, later, live, patch, reasonWord, say, t } from "./base.js";
import { connect, lastHeard, now, parts, silence, standing, under, watch } from "./parts.js";
import { REASONS } from "./words.js";

const MINUTES = [15, 30, 60, 120];
const ACTS = ["open", "close", "hold", "pause-issuing", "priority-insert", "hours-flex", "ask-window"];
let who = { name: null, proof: null, why_not: null, operations: [] };
let act = null, values = {}, sending = false, shown = null;

const may = (name) => who.name && who.operations.includes(name);
const areas = () => (parts.names?.areas ?? []);
const areaName = (id) => say(areas().find((one) => one.id === id));
const until = (minutes) => clock(later(now() ?? new Date().toISOString().slice(0, 19) + "Z", minutes * 60000));

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "content-type": "application/json", "x-edged-proof": who.proof ?? "" }, body: JSON.stringify(body) });
  return [answer.status, await answer.json()];
}
async function session() {
  try { who = await (await fetch("/duty/session")).json(); } catch { setTimeout(session, 3000); } // the banner says that nothing is heard
  draw();
}
function tell(words, state = "") {
  shown = words && { words, state };
  patch($("#told"), shown ? say(shown.words) : "");
  $("#told").className = `told ${state}`;
  $("#told").hidden = !shown;
}
async function order(what) {
  if (sending) return;
  sending = true;
  tell({ zh: "正在发送…", en: "Sending …" });
  try {
    const [status, answer] = await post("/duty/act", { key_of_act: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, ...what });
    if (status === 403) { await session(); tell(answer, "refused"); } else tell(answer, status === 200 ? answer.state : "refused");
    if (answer.state === "done") { act = null; }
  } catch {
    tell({ zh: "没有收到回应，是否执行不明；不会重复发送，请看下方现状", en: "No answer came: whether it was done is not known. It is not sent again; see what stands below" }, "unanswered");
  }
  sending = false;
  draw();
  scrollTo(0, 0);
}

// ---- what is there ----
function banner() {
  const state = standing(10), place = $("#banner");
  place.hidden = state === "fresh" || state === "starting";
  place.className = state === "offline" ? "banner bad" : "banner";
  patch(place, state === "offline" ? t("st_offline") : t("st_stale", { t: clock(lastHeard(), true), n: Math.round(silence()) }));
}
const alarm = (one) => h("li", { class: "item bad", "data-key": one.key },
  h("b", {}, alarmWord(one)),
  one.accepted ? h("span", { class: "tag" }, t("accepted", { n: one.accepted.by }))
    : may("accept-alarm") ? h("button", { class: "btn main", type: "button", "data-accept": one.key, "aria-label": `${t("duty_accept")}: ${alarmWord(one)}` }, t("duty_accept")) : null,
  h("p", {}, say(one.todo)));
const override = (one) => h("li", { class: "item", "data-key": `${one.kind}/${one.target}` },
  h("b", {}, `${say(one.about)} ${say(one)}`),
  may("lift") ? h("button", { class: "btn", type: "button", "data-lift": `${one.kind} ${one.target}`, "aria-label": `${t("duty_lift")}: ${say(one.about)} ${say(one)}` }, t("duty_lift")) : null,
  h("p", {}, [one.by, one.reason && reasonWord(one.reason), one.until && t("until", { t: clock(one.until) })].filter(Boolean).join(" · ")),
  h("p", {}, coming(parts[`window/${one.target}`])));
/** What the hall does about it now: who was paged, and until when they may answer. */
function coming(window) {
  if (!window?.paged) return window ? t(`s_${window.state}`) : "";
  const { who: name, until: end, answered } = window.paged;
  return t(answered ? "duty_comes" : name ? "duty_paged" : "duty_lit", { n: name ?? "", t: clock(end, true) });
}
const wish = (one) => h("li", { class: "item", "data-key": `wish/${one.area}/${one.by ?? one.window}` },
  h("b", {}, `${areaName(one.area)} ${t("duty_wish")}`),
  may("ask-window") ? h("button", { class: "btn", type: "button", "data-withdraw": one.area, "aria-label": `${t("duty_withdraw")}: ${areaName(one.area)}` }, t("duty_withdraw")) : null,
  h("p", {}, [one.by, t("since", { t: clock(one.since) })].filter(Boolean).join(" · ")));

function draw() {
  document.title = `${t("duty_title")} · ${say(parts.names?.hall)}`;
  patch($("#who"), who.name ?? "");
  $("#leave").hidden = !who.name;
  $("#login").hidden = Boolean(who.name) || Boolean(who.why_not);
  $("#choose").hidden = !who.name;
  if (who.why_not && !shown) tell(who.why_not, "unanswered");
  if (shown) tell(shown.words, shown.state);
  $("#form").hidden = act === null;
  $("#home").hidden = act !== null;
  const alarms = parts.alarms?.alarms ?? [];
  patch($("#alarms"), alarms.length ? alarms.map(alarm) : h("li", { class: "item", "data-key": "none" }, t("no_alarms")));
  patch($("#acts"), ACTS.filter(may).map((one) => h("li", { "data-key": one }, h("button", { type: "button", "data-act": one }, h("b", {}, t(`a_${one}`)), h("span", {}, t(`a_${one}_s`))))));
  const stands = [...(parts.overrides?.overrides ?? []).map(override), ...(parts.overrides?.wishes ?? []).map(wish)];
  patch($("#standing"), stands.length ? stands : h("li", { class: "item", "data-key": "none" }, t("none_by_hand")));
  if (act !== null) form();
  banner();
}

// ---- one act ----
function chips(name, legend, options, tiles = false) {
  return h("fieldset", { "data-key": name }, h("legend", {}, legend), h("div", { class: tiles ? "chips tiles" : "chips" }, options.map(([value, text, note]) =>
    h("label", { "data-key": value }, h("input", { type: "radio", name, value, checked: values[name] === value }), h("span", {}, h("b", {}, text), note ? h("small", {}, note) : null)))));
}
function windows() {
  const states = under("window/");
  return (parts.names?.windows ?? []).filter((one) => {
    const state = states[one.id]?.state ?? "";
    if (act === "close") return !["CLOSED", "STANDBY", "COOLDOWN"].includes(state);
    if (act === "hold") return one.tidal && states[one.id]?.area;
    return one.tidal ? !states[one.id]?.area : ["CLOSED", "PAUSED"].includes(state);
  }).map((one) => [one.number, one.number, t(`s_${states[one.id]?.state ?? "CLOSED"}`)]);
}
function form() {
  const picked = [], choices = areas().map((one) => [one.id, say(one), t("f_waiting", { n: parts[`area/${one.id}`]?.waiting ?? "–" })]);
  if (["open", "close", "hold"].includes(act)) picked.push(windows().length ? chips("window", t("duty_window"), windows(), true) : h("p", { "data-key": "none" }, t("duty_none")));
  const serves = act === "open" ? tidalAreas() : [];
  if (serves.length > 1) picked.push(chips("area", t("duty_area"), [["", t("duty_any")], ...choices.filter(([id]) => serves.includes(id))]));
  if (act === "ask-window") picked.push(chips("area", t("duty_area"), choices));
  if (["pause-issuing", "hours-flex"].includes(act)) picked.push(chips("area", t("duty_area"), [["", t("whole_hall")], ...choices]));
  if (act === "priority-insert") picked.push(h("label", { class: "text", "data-key": "number" }, t("duty_number"), h("input", { name: "number", maxlength: 12, autocomplete: "off", value: values.number ?? "" })));
  if (REASONS[act]) picked.push(chips("reason", t("duty_reason"), REASONS[act].map(([zh, en]) => [zh, lang === "zh" ? zh : en])));
  const spans = act === "hours-flex" ? MINUTES.slice(0, 3) : MINUTES;
  if (!["priority-insert", "ask-window"].includes(act)) picked.push(chips("minutes", t(act === "hours-flex" ? "duty_longer" : "duty_until"), spans.map((n) => [`${n}`, act === "hours-flex" ? `+${n}` : until(n), t("mins", { n })])));
  const ready = complete();
  patch($("#form"), h("header", { "data-key": "head" }, h("button", { class: "btn plain", type: "button", "data-back": true }, `← ${t("duty_back")}`), h("h2", {}, t(`a_${act}`))), picked,
    h("div", { class: "send", "data-key": "send" }, ready ? h("p", {}, consequence()) : null, h("button", { class: "btn main", type: "submit", disabled: !ready || sending }, t(ready ? "duty_do" : "duty_pick"))));
}
/** The areas that the chosen "+1" window can serve. */
function tidalAreas() {
  const found = (parts.names?.windows ?? []).find((one) => one.number === values.window);
  return found?.tidal ? found.areas : [];
}
function complete() {
  if (REASONS[act] && !values.reason) return false;
  if (["open", "close", "hold"].includes(act)) return Boolean(values.window);
  if (act === "priority-insert") return Boolean(values.number);
  return values.area !== undefined && (act !== "ask-window" || values.area !== "");
}
function consequence() {
  const place = values.area ? areaName(values.area) : t("whole_hall");
  return t(`will_${act}`, { w: values.window ?? "", t: until(Number(values.minutes)), p: place, n: values.number ?? "", m: values.minutes });
}
$("#form").addEventListener("input", (event) => { values[event.target.name] = event.target.value.trim(); form(); });
$("#form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!complete()) return;
  order({ act, window: values.window, area: (act !== "open" || tidalAreas().includes(values.area)) && values.area ? values.area : null, number: values.number?.toUpperCase(), minutes: Number(values.minutes), reason: values.reason });
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { act: kind, accept, lift, withdraw, back } = button.dataset;
  if (kind) { act = kind; values = { minutes: "30" }; tell(null); draw(); $("#form input")?.focus(); }
  else if (back !== undefined) { act = null; draw(); }
  else if (accept) order({ act: "accept-alarm", key: accept });
  else if (lift) { const [what, target] = lift.split(" "); order({ act: "lift", kind: what, target }); }
  else if (withdraw) order({ act: "ask-window", area: withdraw, withdraw: true });
});
$("#leave").addEventListener("click", async () => {
  try { await post("/duty/logout", {}); } catch { tell({ zh: "没有连上控制器，尚未退出", en: "The controller was not reached: you are still logged in" }, "refused"); return; }
  act = null;
  tell(null);
  await session();
});
$("#login").addEventListener("submit", async (event) => {
  event.preventDefault();
  let status, answer;
  try { [status, answer] = await post("/duty/login", { name: $("#name").value, pin: $("#pin").value }); } catch {
    tell({ zh: "没有连上控制器：请检查网络，再试一次", en: "The controller was not reached: check the network and try again" }, "refused");
    return;
  }
  $("#pin").value = "";
  tell(status === 200 ? null : answer, "refused");
  if (status === 200) await session(); else $("#pin").focus();
});
watch(draw);
live(draw);
setInterval(banner, 1000);
connect("/changes");
session();
