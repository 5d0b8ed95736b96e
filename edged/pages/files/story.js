// Why one window, area or member of staff stands as it does, and its day so far: opened by a click anywhere in the hall.
import { $, clock, h, list, minutes, patch, range, say, t } from "./base.js";
import { now, parts } from "./parts.js";
import { hm } from "./timeline.js";

const FIGURES = { waiting: 1, oldest_wait_s: 60, predicted_wait_s: 60, with_one_more_s: 60, with_one_fewer_s: 60, windows: 1 };
const TAGS = { ask: "tide", open: "tide", refuse: "alarm", escalate: "lamp", override: "lamp" };
let shown = null;

let usual = null;
/** What is usual: people waiting by area and slot of the day. */
export function learnUsual(found) { usual = found; }
/** How many waited in an area at this time of other days; null where nobody knows. */
function usualOf(id) {
  const at = now(), found = at && usual?.areas[id]?.[Math.floor((Number(at.slice(11, 13)) * 60 + Number(at.slice(14, 16))) / usual.slot_min)];
  return found == null ? null : Math.round(found);
}
export const areaName = (id) => say(parts.names?.areas.find((one) => one.id === id));
export const windowOf = (id) => parts.names?.windows.find((one) => one.id === id);

/** One decision with its figures and what else was considered. */
export function decision(one, open = false) {
  const figures = Object.entries(FIGURES).filter(([key]) => typeof one.inputs?.[key] === "number").map(([key, unit]) => h("span", { class: "tag" }, t(`f_${key}`, { n: Math.round(one.inputs[key] / unit) })));
  const rows = (one.alternatives ?? []).map((each) => h("li", { class: each.chosen ? "chosen" : "" },
    h("span", {}, each.kind === "window" ? t("window", { n: each.name }) : each.name), h("span", {}, (each.chosen ? "✓ " : "") + say(each))));
  return h("li", { class: "why", "data-key": `d${one.n}` }, h("time", { datetime: one.at }, clock(one.at)),
    h("p", {}, h("span", { class: `tag ${TAGS[one.decision] ?? ""}` }, t(`d_${one.decision}`)), say(one)),
    one.outcome && h("p", { class: "out" }, say(one.outcome)),
    rows.length + figures.length > 0 && h("details", open ? { open: true } : {}, h("summary", {}, t("considered")), h("ul", { class: "alts" }, rows), h("p", { class: "figs" }, figures)));
}

function fact(word, ...value) {
  const told = value.flat().filter(Boolean);
  return told.length ? [h("dt", {}, word), h("dd", {}, told)] : [];
}
function steps(rows) {
  return rows.length ? h("ol", { class: "steps" }, rows.slice(-60).reverse().map(([at, text]) => h("li", {}, h("time", {}, hm(at)), h("span", {}, text)))) : h("p", { class: "quiet" }, t("dlg_none"));
}
const section = (word, ...body) => h("section", {}, h("h3", {}, t(word)), ...body);
function reasons(fits) {
  const found = (parts.decisions?.decisions ?? []).filter(fits);
  return found.length ? section("dlg_why", h("ol", {}, found.map((one, i) => decision(one, i === 0)))) : null;
}

function ofWindow(id, day) {
  const site = windowOf(id), one = parts[`window/${id}`];
  if (!site || !one) return null;
  const since = one.since ? `（${t("since", { t: clock(one.since) })}）` : "";
  const lost = (parts.links?.devices ?? []).filter((each) => [site.panel_device, site.led_device].includes(each.id) && each.up === false);
  const told = (day?.windows[id] ?? []).map(([at, state, ticket, area]) => [at, [t(`s_${state}`), ticket, area && site.tidal && areaName(area)].filter(Boolean).join(" · ")]);
  return [t("window", { n: site.number }), [
    h("dl", { class: "facts" }, fact(t("dlg_now"), t(`s_${one.state}`), one.ticket ? ` ${one.ticket}` : "", since), fact(t("dlg_why"), say(one.reason) || say(one.pause)), fact(t("dlg_clerk"), list([one.clerk, ...(one.helpers ?? [])].filter(Boolean))),
      fact(t("dlg_serves"), list(site.areas.map(areaName))), fact(t("dlg_lamp"), one.lamp && t(`lamp_${one.lamp}`)), fact(t("dlg_led"), one.led?.filter(Boolean).join(" / ")),
      fact(t("dlg_device"), one.stale && t("stale_w"), lost.map((each) => ` ${say(each)} ${t("since", { t: clock(each.since) })}`))),
    reasons((each) => each.window === id), section("h_history", steps(told))]];
}
function ofArea(id, day) {
  const one = parts[`area/${id}`];
  if (!one) return null;
  const bands = (day?.bands ?? []).filter((each) => each.area === id).flatMap((each) => [[each.asked ?? each.opened, `${t("window", { n: each.window })} ${t("k_asked")} ${each.who ?? ""}`], each.opened != null && each.asked != null ? [each.opened, `${t("window", { n: each.window })} ${t("d_open")}`] : null, each.until != null ? [each.until, `${t("window", { n: each.window })} ${t("d_close")}`] : null].filter(Boolean));
  return [areaName(id), [
    h("dl", { class: "facts" }, fact(t("dlg_now"), t("now_waiting", { n: one.waiting }), one.oldest_since && now() ? ` · ${t("g_oldest", { n: t("mins", { n: minutes(one.oldest_since, now()) }) })}` : ""), usualOf(id) != null && fact(t("dlg_usual"), t("now_waiting", { n: usualOf(id) })), fact(t("dlg_wait"), range(one.wait_low_s, one.wait_high_s)),
      fact(t("dlg_next"), list(one.next ?? [])), fact(t("dlg_limit"), say(one.limit)), fact(t("h_plan"), `${Math.max(0, one.open_windows - one.tidal_windows)}${one.tidal_windows ? `+${one.tidal_windows}` : ""}`),
      fact(t("h_history"), t("x_flow", { a: one.waiting, b: one.issued, c: one.served }), one.service_level == null ? "" : ` · ${t("g_level_long", { m: Math.round((one.target_s ?? 900) / 60), n: Math.round(one.service_level * 100) })}`)),
    reasons((each) => each.area === id), section("h_plus", steps(bands.sort((a, b) => a[0] - b[0])))]];
}
function ofStaff(id, day) {
  const who = parts.names?.staff.find((one) => one.id === id), one = parts.staff?.staff.find((each) => each.id === id);
  if (!who) return null;
  const told = (day?.bands ?? []).filter((each) => each.who === who.name).map((each) => [each.asked ?? each.opened, `${t("window", { n: each.window })} · ${areaName(each.area)}${each.until == null ? "" : ` · ${hm(each.asked ?? each.opened)}–${hm(each.until)}`}`]);
  const place = windowOf(one?.window)?.number;
  return [who.name, [
    h("dl", { class: "facts" }, fact(t("dlg_now"), one && t(`p_${one.state}`, { n: place ?? "" }), one?.answer_by ? ` · ${t("until", { t: clock(one.answer_by, true) })}` : ""), fact(t("dlg_serves"), list(who.areas.map(areaName))), fact(t("h_history"), one && t("dlg_turns", { n: one.turns }))),
    reasons((each) => (each.alternatives ?? []).some((other) => other.kind === "staff" && other.name === who.name)), section("h_history", steps(told))]];
}
const KINDS = { window: ofWindow, area: ofArea, staff: ofStaff };

/** Draw the open story anew; nothing where none is open. */
export function retell(day) {
  if (!shown) return;
  const [kind, id] = shown.split("/");
  const told = KINDS[kind](id, day);
  if (!told) return;
  patch($("#story-name"), told[0]);
  patch($("#story-body"), ...told[1]);
}
/** Clicks on anything with data-story open its story. */
export function listen(day) {
  document.addEventListener("click", (event) => {
    const from = event.target.closest("[data-story]");
    if (from) { shown = from.dataset.story; retell(day()); $("#story").showModal(); $("#story-body").scrollTop = 0; }
    if (event.target.closest("#story-close") || event.target === $("#story")) $("#story").close();
  });
  $("#story").addEventListener("close", () => { shown = null; });
}
