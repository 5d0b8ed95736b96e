// The duty manager's view. Everything in it is redrawn from the page parts; the stream says when.
import { $, alarmWord, clock, dateLine, h, lamp, lang, list, live, minutes, ms, patch, range, reasonWord, s, say, t } from "./base.js";
import { connect, lastHeard, now, parts, silence, standing, watch } from "./parts.js";
import { areaName, decision, learnUsual, listen, retell, windowOf } from "./story.js";
import { lastMinute, legend, table, timeline } from "./timeline.js";

const STALE_S = 10, NEAR_MIN = 180, DAY_EVERY_S = 20, USUAL_EVERY_S = 3600, COLUMNS = 8;
const BACKLOG_USUAL = 20; // events on their way to the centre in a busy minute; more is news
const RESTING = ["CLOSED", "STANDBY", "COOLDOWN"];
let day = null, area = null, span = "near", drawnDay = 0;

const windows = () => (parts.names?.windows ?? []).map((site) => ({ ...site, ...(parts[`window/${site.id}`] ?? { state: "CLOSED" }) }));
const areas = () => (parts.names?.areas ?? []).filter((site) => parts[`area/${site.id}`]).map((site) => ({ ...site, ...parts[`area/${site.id}`] }));
const over = (one) => one.waiting > 0 && one.limit_s != null && one.wait_s != null && one.wait_s > one.limit_s;
const openNow = (one) => one.hours == null || one.hours === "open" || one.hours === "draining" || one.hours === "stopped";

// ---- the sentence on top ----
function verdict() {
  const standing_ = standing(STALE_S);
  if (standing_ === "starting" || !parts.names) return t("loading");
  const at = clock(lastHeard() ?? "", true);
  if (standing_ === "offline") return t("st_offline_v", { t: at });
  if (standing_ === "stale") return t("st_stale_v", { t: at });
  const all = areas(), need = (parts.alarms?.alarms ?? []).filter((one) => !one.accepted).length;
  const needs = need === 0 ? t("v_need0") : need === 1 ? t("v_need1") : t("v_need", { n: need });
  if (parts.policy?.safe_mode) return `${t("st_safe")}${needs}`;
  if (all.length && !all.some(openNow)) {
    const noon = all.find((one) => one.hours === "noon"), opens = all.map((one) => one.opens).filter(Boolean).sort()[0];
    return `${t(noon ? "v_noon" : "v_closed")}${opens ? t("v_opens", { t: clock(opens) }) : needs}`;
  }
  const high = all.filter(over).map(say), coming = windows().filter((one) => one.state === "ACTIVATING").map((one) => one.number);
  const serving = windows().filter((one) => one.tidal && ["OPEN", "CALLING", "SERVING", "DRAINING"].includes(one.state)).length;
  const tide = high.length ? t("v_tide", { a: list(high) }) : t("v_calm") + (serving ? `${lang === "zh" ? "，" : ", "}${t("v_serving", { n: serving })}` : "");
  return tide + (coming.length ? t(coming.length > 1 ? "v_coming" : "v_coming1", { w: list(coming) }) : "") + needs;
}
function head() {
  const at = now();
  $("#name").textContent = say(parts.names?.hall) || t("hall_title");
  document.title = `${t("hall_title")} · ${say(parts.names?.hall)}`;
  $("#verdict").textContent = verdict();
  if (at) { $("#clock").textContent = clock(at, true); $("#clock").dateTime = at; $("#date").textContent = dateLine(at); }
  const closes = areas().filter(openNow).map((one) => one.closes).filter(Boolean).sort().pop();
  $("#hours").textContent = !areas().length ? "" : closes ? t("open_until", { t: clock(closes) }) : areas().some(openNow) ? "" : t(areas().some((one) => one.hours === "noon") ? "hours_noon" : "hours_closed");
  $("#duty").hidden = !parts.pages?.duty;
  const kind = standing(STALE_S), safe = kind === "fresh" && parts.policy?.safe_mode;
  const place = $("#banner");
  place.hidden = !(kind === "stale" || kind === "offline" || safe);
  place.className = kind === "stale" ? "banner" : "banner bad";
  if (kind === "stale") patch(place, h("span", {}, t("st_stale", { t: clock(lastHeard() ?? "", true) || "—", n: Number.isFinite(silence()) ? Math.round(silence()) : "—" })), h("small", {}, t("st_stale_do")));
  else if (kind === "offline") patch(place, h("span", {}, t("st_offline")), h("small", {}, t("st_offline_do")));
  else if (safe) patch(place, h("span", {}, t("st_safe")), h("small", {}, t("st_safe_do")));
  $("#main").classList.toggle("old", kind === "stale" || kind === "offline");
}

// ---- areas ----
function gauge(one) {
  const x = (seconds) => Math.min(100, (seconds / 2400) * 100);
  return s("svg", { viewBox: "0 0 100 18", preserveAspectRatio: "none", "aria-hidden": "true" }, s("rect", { class: "g-track", x: 0, y: 5, width: 100, height: 8 }),
    one.wait_high_s != null && s("rect", { class: "g-range", x: x(one.wait_low_s ?? 0), y: 5, width: Math.max(2, x(one.wait_high_s) - x(one.wait_low_s ?? 0)), height: 8 }),
    one.limit_s != null && s("line", { class: "g-limit", x1: x(one.limit_s), x2: x(one.limit_s), y1: 1, y2: 17, "vector-effect": "non-scaling-stroke" }));
}
function areaCard(one) {
  const shut = !openNow(one), high = over(one);
  const [kind, word] = one.issuing_paused ? ["lamp", "g_paused"] : one.coming?.length ? ["lamp", "g_coming"] : high ? ["alarm", "g_over"] : one.tidal_windows ? ["tide", "g_tidal"] : one.hours === "stopped" ? ["", "g_stopped"] : one.hours === "draining" ? ["", "g_draining"] : ["", ""];
  const level = one.service_level == null ? "" : t("g_level", { n: Math.round(one.service_level * 100) });
  const at = now();
  return h("li", { class: high ? "area over" : "area", "data-key": one.id }, h("button", { class: "tap", type: "button", "data-story": `area/${one.id}` },
    h("span", { class: "name" }, h("b", {}, say(one)), word && h("span", { class: `tag ${kind}` }, t(word))),
    h("span", { class: "big" }, h("b", {}, shut && !one.waiting ? "—" : `${one.waiting}`), h("span", { class: "quiet" }, shut && !one.waiting ? "" : t("waits")), h("span", { class: "to" }, shut ? t(one.hours === "noon" ? "g_noon" : "g_closed") : range(one.wait_low_s, one.wait_high_s, "_short"))),
    gauge(one),
    h("span", { class: "sub" }, h("span", {}, one.oldest_since && at ? t("g_oldest", { n: t("mins", { n: minutes(one.oldest_since, at) }) }) : t("g_done", { n: one.served ?? 0 })),
      h("span", {}, t("g_wins", { n: one.tidal_windows ? `${Math.max(0, one.open_windows - one.tidal_windows)}+${one.tidal_windows}` : `${one.open_windows}` })), h("span", {}, level))));
}

// ---- windows ----
function tile(one) {
  const at = now(), coming = one.state === "ACTIVATING" || one.state === "INVITED";
  const left = coming && one.paged?.until && at ? Math.round((ms(one.paged.until) - ms(at)) / 1000) : null;
  const set = (parts.overrides?.overrides ?? []).find((each) => each.target === one.id);
  const main = one.ticket ?? (say(one.pause) || (coming ? one.paged?.who ?? t("g_going") : one.state === "OPEN" ? t("ready") : one.clerk && !RESTING.includes(one.state) ? one.clerk : "—"));
  const aside = set ? null : coming ? (one.paged?.answered ? t("g_going") : left == null ? "" : left > 0 ? t("g_answer", { n: left }) : t("g_due")) : one.since && at && !RESTING.includes(one.state) && one.state !== "OPEN" ? t("mins", { n: minutes(one.since, at) }) : "";
  const foot = one.stale ? t("stale_w") : [one.ticket || one.state === "PAUSED" || one.state === "OPEN" || (one.state === "CONSULTING" && main !== one.clerk) ? one.clerk : null, one.tidal && one.area && areaName(one.area)].filter(Boolean).join(" ") || (one.tidal ? t("tidal") : "");
  const dead = (parts.links?.devices ?? []).some((each) => one.led_device && each.id === one.led_device && each.up === false);
  const lines = (one.led ?? []).filter(Boolean), text = lines.filter((line) => !line.startsWith(`${one.number}号窗口 Window`) && line !== `${one.number}号窗口`).join(" ") || `${one.number}号窗口`;
  return h("li", { class: `win ${one.state}${one.tidal ? " tidal" : ""}${one.stale ? " stale" : ""}`, "data-key": one.id, "data-pos": one.position?.join(",") ?? null }, h("button", { class: "tap", type: "button", "data-story": `window/${one.id}` },
    h("span", { class: "row" }, h("span", { class: "no" }, one.number), one.lamp && lamp(one.lamp), h("span", { class: "what" }, t(`s_${one.state}`))),
    h("span", { class: "row main" }, h("b", {}, main), set && h("span", { class: "tag", title: `${t(`k_${set.kind}`)} · ${set.by} · ${t("until", { t: clock(set.until) })}` }, t(`t_${set.kind}`)), aside && h("span", { class: "aside" }, aside)),
    h("span", { class: "foot" }, foot || "\u00a0"), dead ? h("span", { class: "ledtext dead" }, `✕ ${t("led_dead")}`) : one.led && h("span", { class: "ledtext", lang: "zh-CN" }, text)));
}
/** Windows in bays by area, bays in walls of eight: how a hall stands when nobody has drawn it. */
function walls(all) {
  const bays = [];
  for (const site of parts.names.areas) bays.push([say(site), all.filter((one) => !one.tidal && one.areas[0] === site.id)]);
  bays.splice(Math.max(0, bays.length - 1), 0, [t("lane_plus"), all.filter((one) => one.tidal)]);
  const rows = [[]];
  for (const [name, here] of bays.filter(([, each]) => each.length)) {
    for (let from = 0; from < here.length; from += COLUMNS) {
      const some = here.slice(from, from + COLUMNS), taken = rows[rows.length - 1].reduce((n, [, each]) => n + each.length, 0);
      if (taken + some.length > COLUMNS) rows.push([]);
      rows[rows.length - 1].push([from ? "\u00a0" : name, some]);
    }
  }
  return rows.map((row) => h("div", { class: "wall" }, row.map(([name, here]) => h("section", { class: "bay", "data-span": here.length }, h("h3", {}, name), h("ul", {}, here.map(tile))))));
}
function plan() {
  const all = windows(), placed = all.length && all.every((one) => one.position);
  const cases = parts.cases, sum = (key) => areas().reduce((n, one) => n + (one[key] ?? 0), 0);
  const present = parts.links?.people?.present;
  const aisle = h("p", { class: "aisle" }, present != null && h("b", {}, t("x_people", { n: present })), h("span", {}, t("x_flow", { a: sum("waiting"), b: sum("issued"), c: sum("served") })), cases && (cases.waiting || cases.in_hand) ? h("span", {}, t("x_cases", { a: cases.waiting, b: cases.in_hand })) : null);
  const rows = placed ? [h("ul", { class: "plan-grid" }, all.map(tile))] : walls(all);
  patch($("#plan"), rows[0], aisle, rows.slice(1));
  const columns = placed ? Math.max(...all.map((one) => one.position[0])) : COLUMNS;
  for (const node of $("#plan").querySelectorAll(".wall, .plan-grid")) node.style.setProperty("--columns", columns);
  for (const node of $("#plan").querySelectorAll("[data-span]")) node.style.setProperty("--span", node.dataset.span);
  for (const node of $("#plan").querySelectorAll(".plan-grid > [data-pos]")) { const [column, row] = node.dataset.pos.split(","); node.style.gridColumn = column; node.style.gridRow = row; }
  patch($("#legend"), ["on", "blink", "off"].map((kind) => h("li", {}, lamp(kind), t(`lamp_${kind}`))));
}

// ---- the rail ----
/** Decisions worth reading: no waiting for the last one to arrive, and of one area's refusals the newest. */
function worthReading(told) {
  const refused = new Set();
  return told.filter((one) => {
    if (one.decision === "hold" && !one.window) return false;
    if (one.decision !== "refuse") return true;
    const again = refused.has(one.area);
    refused.add(one.area);
    return !again;
  });
}
function alarmRow(one) {
  const sign = s("svg", { viewBox: "0 0 18 18", "aria-hidden": "true" }, s("path", { d: "M9 1 17.5 16.5H.5Z" }), s("text", { x: 9, y: 14.6 }, "!"));
  return h("li", { class: one.accepted ? "alert held" : "alert", "data-key": one.key }, sign, h("b", {}, alarmWord(one)),
    one.accepted ? h("span", { class: "tag" }, t("accepted", { n: one.accepted.by })) : parts.pages?.duty ? h("a", { class: "btn", href: "/duty" }, t("to_desk")) : h("time", { class: "quiet", datetime: one.since }, clock(one.since)),
    h("p", { class: "do" }, say(one.todo)));
}
function policy() {
  const one = parts.policy;
  if (!one) return [];
  const trial = one.trial, scale = 340 / Math.max(1, (trial?.limit_s ?? 1) * 1.15), x = (seconds) => Math.min(338, seconds * scale);
  const back = trial?.back_to ? `v${trial.back_to}` : t("built_in");
  const words = trial && t("trial_now", { a: Math.round((trial.waited_s ?? 0) / 60), b: Math.round((trial.limit_s ?? 0) / 60), c: trial.worse_limit_min, v: back });
  return [h("p", { class: "line" }, h("b", {}, `v${one.version}`), trial && h("span", { class: trial.harmful ? "tag alarm" : "tag lamp" }, `${t("trial")} · ${t("trial_left", { n: trial.left_min })}`), trial?.worse_min > 0 && h("span", { class: "tag alarm" }, t("trial_bad", { n: trial.worse_min })), one.since && h("span", { class: "quiet" }, t("since", { t: moment(one.since) }))),
    h("p", {}, say(one)), one.pool ? h("p", { class: "quiet" }, t("pool", { a: one.open_now ?? 0, b: one.pool })) : null,
    trial?.limit_s && h("div", { class: trial.harmful || trial.worse_min > 0 ? "bad" : "" }, s("svg", { viewBox: "0 0 340 28", role: "img", "aria-label": words },
      s("rect", { class: "p-track", x: 0, y: 2, width: 340, height: 8, rx: 4 }), s("rect", { class: "p-now", x: 0, y: 2, width: Math.max(2, x(trial.waited_s ?? 0)), height: 8, rx: 4 }), s("line", { class: "p-limit", x1: x(trial.limit_s), x2: x(trial.limit_s), y1: 0, y2: 13 }),
      x(trial.limit_s) - x(trial.waited_s ?? 0) > 60 && s("text", { class: "c-text", x: Math.max(18, x(trial.waited_s ?? 0)), y: 24, "text-anchor": "end" }, t("mins", { n: Math.round((trial.waited_s ?? 0) / 60) })), s("text", { class: "c-text", x: x(trial.limit_s), y: 24, "text-anchor": "middle" }, `${t("mins", { n: Math.round(trial.limit_s / 60) })} → ${back}`))),
    words && h("p", { class: "quiet" }, words), one.pushed && h("p", { class: one.pushed.state === "rejected" ? "" : "quiet" }, lastPush(one.pushed))];
}
/** A time of today, or with its date. */
const moment = (at) => (at.slice(0, 10) === now()?.slice(0, 10) ? clock(at) : `${dateLine(at)} ${clock(at)}`);
/** What became of the policy that the city pushed last. */
function lastPush(one) {
  const comma = lang === "zh" ? "：" : ": ", what = one.version == null ? t("push_unread") : `v${one.version}`;
  return `${t("push")}${comma}${what} ${t(`push_${one.state}`, { t: moment(one.at) })}${one.why ? `${comma}${say(one.why)}` : ""}`;
}
const target = (one) => (one.target === "hall" ? t("whole_hall") : windowOf(one.target) ? t("window", { n: windowOf(one.target).number }) : areaName(one.target));
function rail() {
  const alarms = [...(parts.alarms?.alarms ?? [])].sort((a, b) => !!a.accepted - !!b.accepted);
  patch($("#alarms"), alarms.length ? alarms.map(alarmRow) : h("li", { class: "empty", "data-key": "none" }, h("b", {}, `✓ ${t("no_alarms")}`), t("no_alarms_sub")));
  const told = worthReading(parts.decisions?.decisions ?? []);
  patch($("#decisions"), told.length ? told.slice(0, 6).map((one, i) => decision(one, i === 0)) : h("li", { class: "empty", "data-key": "none" }, t("no_decisions")));
  patch($("#policy"), policy());
  const set = parts.overrides?.overrides ?? [];
  patch($("#overrides"), set.length ? set.map((one) => h("li", { "data-key": `${one.kind}/${one.target}` }, h("span", {}, `${target(one)} ${t(`k_${one.kind}`)}${one.area && one.area !== one.target ? ` · ${areaName(one.area)}` : ""}${one.reason ? ` · ${reasonWord(one.reason)}` : ""}`), h("span", { class: "quiet" }, `${one.by} · ${t("until", { t: clock(one.until) })}`))) : h("li", { class: "quiet", "data-key": "none" }, t("none_by_hand")));
  const KINDS = { standby: "well", paged: "lamp", bound: "tide" };
  const crew = (parts.staff?.staff ?? []).map((one) => [one, parts.names?.staff.find((who) => who.id === one.id)]).filter(([, who]) => who?.roles.includes("standby"));
  patch($("#crew"), crew.map(([one, who]) => h("li", { "data-key": one.id }, h("button", { class: "tap", type: "button", "data-story": `staff/${one.id}` }, h("span", {}, who.name), h("span", { class: `tag ${KINDS[one.state] ?? ""}` }, t(`p_${one.state}`, { n: windowOf(one.window)?.number ?? "" })), h("span", { class: "quiet" }, t("turns", { n: one.turns ?? 0 }))))));
  $("#onduty").textContent = parts.staff?.duty ? t("duty_by", { n: parts.staff.duty }) : "";
}
const SIGN = { wait: "M1 5h2v2H1ZM5 5h2v2H5ZM9 5h2v2H9Z", good: "M2 6.5 5 9.5 10.5 2.5 9.2 1.5 4.9 7 3 5.3Z", warn: "M6 .5 11.8 11H.2Z", down: "M1 2.4 2.4 1 6 4.6 9.6 1 11 2.4 7.4 6 11 9.6 9.6 11 6 7.4 2.4 11 1 9.6 4.6 6Z" };
function links() {
  const one = parts.links ?? {}, lost = (one.devices ?? []).filter((each) => each.up === false);
  const names = list(lost.slice(0, 3).map(say)) + (lost.length > 3 ? t("l_more", { n: lost.length }) : "");
  const backlog = one.centre?.backlog ?? 0;
  const rows = [["l_bus", parts.link?.up && standing(STALE_S) === "fresh" ? ["good", t("ok")] : standing(STALE_S) === "starting" ? ["wait", t("l_bus_starts")] : ["down", t("l_bus_down")]],
    one.centre && ["l_centre", backlog > BACKLOG_USUAL ? ["warn", t("l_backlog", { n: backlog })] : ["good", t("l_synced")]], one.disk != null && ["l_disk", one.disk ? ["good", t("ok")] : ["down", t("l_disk_bad")]],
    one.clock != null && ["l_clock", one.clock ? ["good", t("ok")] : ["down", t("l_clock_bad")]], one.devices && ["l_devices", lost.length ? ["warn", t("l_lost", { n: names })] : ["good", t("ok")]]];
  patch($("#links"), rows.filter(Boolean).map(([word, [kind, text]]) => h("li", { class: kind, "data-key": word }, s("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, s("path", { d: SIGN[kind] })), h("b", {}, t(word)), h("span", {}, text))));
}

// ---- today ----
function line() {
  const choices = [{ id: "all", zh: t("all"), en: t("all") }, ...(parts.names?.areas ?? [])];
  area ??= [...areas()].sort((a, b) => (b.waiting ?? 0) - (a.waiting ?? 0))[0]?.id ?? null;
  const choice = (name, id, text, on) => h("button", { type: "button", "data-key": id, [`data-${name}`]: id, "aria-pressed": `${on}` }, text);
  patch($("#pick"), choices.map((one) => choice("area", one.id, say(one), one.id === area)));
  patch($("#span"), ["near", "day"].map((one) => choice("span", one, t(one), one === span)));
  if (!day || !day.names || !area) { patch($("#chart"), h("p", { class: "quiet" }, t("no_day"))); return; }
  const end = lastMinute(day), closes = areas().map((one) => one.closes).filter(Boolean).sort().pop();
  const close = closes && closes.slice(0, 10) === day.date ? Number(closes.slice(11, 13)) * 60 + Number(closes.slice(14, 16)) + 20 : end;
  const whole = [Math.floor(day.begin / 30) * 30, Math.max(end, close, day.begin + 60)];
  const first = span === "day" ? whole[0] : Math.max(whole[0], end - NEAR_MIN), last = span === "day" ? whole[1] : Math.max(Math.min(whole[1], first + 240), first + 60);
  const goal = Math.round(((area !== "all" && parts[`area/${area}`]?.target_s) || 900) / 60);
  timeline($("#chart"), day, { area, now: end, first, last, target: goal, read: (text) => { $("#read").textContent = text; } });
  if (!$("#read").textContent) $("#read").textContent = t("read_hint");
  patch($("#keys"), legend(goal, day.cases));
  patch($("#table"), table(day, area, end));
}
async function fetchDay() {
  try {
    const answer = await fetch("/day");
    if (answer.ok) { day = await answer.json(); line(); retell(day); }
  } catch { /* the banner says that nothing is heard */ }
}
async function fetchUsual() {
  try {
    const answer = await fetch("/usual");
    if (answer.ok) { learnUsual(await answer.json()); retell(day); }
  } catch { /* it is asked for again */ }
}
$("#pick").addEventListener("click", (event) => { const one = event.target.closest("[data-area]"); if (one) { area = one.dataset.area; line(); } });
$("#span").addEventListener("click", (event) => { const one = event.target.closest("[data-span]"); if (one) { span = one.dataset.span; line(); } });
addEventListener("resize", () => { if (day) line(); });

function render() {
  head();
  if (!parts.names) return;
  patch($("#areas"), areas().map(areaCard));
  plan();
  rail();
  links();
  if (!drawnDay && areas().length) { drawnDay = 1; line(); }
  retell(day);
}
live(() => { render(); if (drawnDay) { $("#read").textContent = ""; line(); } });
watch(render);
listen(() => day);
connect("/changes");
fetchDay();
fetchUsual();
setInterval(fetchUsual, USUAL_EVERY_S * 1000);
setInterval(render, 1000); // minutes go by without news
setInterval(fetchDay, DAY_EVERY_S * 1000);
