// A day on paper: figures, lanes, every "+1" with its reason, pauses, alarms and cases.
import { $, alarmWord, dateLine, h, live, patch, say, t } from "./base.js";
import { caseWord, hm, lastMinute, timeline } from "./timeline.js";

const FIGURES_MAX = 6;
let days = [], today = "", day = null;
const areaName = (id) => say(day.names.areas.find((one) => one.id === id));
const round1 = (n) => Math.round(n * 10) / 10;
const staffTime = (n) => (n < 60 ? t("min", { n }) : t("hm", { h: Math.floor(n / 60), m: n % 60 }));
const targetOf = (id) => Math.round((day.totals[id]?.target_s ?? 900) / 60);

function waits(area) {
  const found = day.visits.filter((one) => one[2] != null && (area === null || one[1] === area));
  const minutes = found.map((one) => one[2] / 60).sort((a, b) => a - b), n = minutes.length;
  const told = found.filter((one) => one[4] != null);
  const goal = area === null ? targetOf(Object.keys(day.totals)[0]) : targetOf(area);
  return { n, goal, mean: n ? round1(minutes.reduce((a, b) => a + b, 0) / n) : null, p90: n ? round1(minutes[Math.floor(0.9 * (n - 1))]) : null, max: n ? round1(minutes[n - 1]) : null, within: n ? Math.round((minutes.filter((one) => one <= goal).length / n) * 100) : null, told: told.length ? Math.round((told.filter((one) => one[2] <= one[4] + 60).length / told.length) * 100) : null };
}
/** Now, by the clocks of the hall. */
const hallTime = () => new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: day.names.hall.timezone ?? "UTC" }).format(new Date());
const some = (n, form = (one) => `${one}`) => (n == null ? "—" : form(n));
const percent = (n) => `${n}%`;
function table(head, rows, texts = []) {
  if (!rows.length) return h("p", { class: "quiet" }, t("p_none"));
  const cell = (tag, text, i) => h(tag, { class: texts.includes(i) ? "text" : null, scope: tag === "th" ? "col" : null }, text);
  return h("div", { class: "wide", tabindex: 0, role: "group", "aria-label": head.join(" ") }, h("table", {}, h("thead", {}, h("tr", {}, head.map((text, i) => cell("th", text, i)))), h("tbody", {}, rows.map((row) => h("tr", {}, row.map((text, i) => cell("td", text, i)))))));
}
function paper() {
  const all = waits(null), used = day.bands.filter((one) => one.opened != null), end = lastMinute(day);
  const staff = Math.round(used.reduce((sum, one) => sum + (one.until ?? end) - (one.asked ?? one.opened), 0));
  const fact = (word, text, small = "") => h("div", {}, h("dt", {}, word), h("dd", {}, text, small && h("small", {}, ` ${small}`)));
  const unit = t("min", { n: "" }).trim();
  const areas = day.names.areas.filter((one) => day.areas[one.id] || day.totals[one.id]);
  const shown = areas.filter((one) => waits(one.id).n).slice(0, FIGURES_MAX);
  const figures = shown.map((one) => h("figure", { "data-area": one.id, "data-key": one.id, tabindex: 0, role: "group", "aria-label": say(one) }, h("figcaption", {}, say(one)), h("div", { class: "chart" })));
  patch($("#paper"), h("p", { class: "sub" }, [say(day.names.hall), dateLine(`${day.date}T12:00`, true), `${hm(day.begin)}–${hm(end)}`, day.policy && `v${day.policy.version} ${say(day.policy)}`].filter(Boolean).join(" · ")),
    h("h2", {}, t("p_figures")), h("dl", { class: "sums" }, fact(t("r_visitors"), `${all.n}`), fact(t("r_mean"), some(all.mean), unit), fact(t("r_p90"), some(all.p90), unit), fact(t("r_max"), some(all.max), unit), fact(t("r_in", { n: all.goal }), some(all.within, percent)), fact(t("p_told"), some(all.told, percent)), fact(t("r_act"), `${used.length}`), fact(t("r_staff"), staffTime(staff))),
    h("h2", {}, t("p_areas")), table([t("p_area"), t("p_called"), t("r_mean"), t("r_p90"), t("r_max"), t("r_in", { n: all.goal }), t("p_told"), t("r_act")], areas.map((one) => { const w = waits(one.id); return [say(one), `${w.n}`, some(w.mean), some(w.p90), some(w.max), some(w.within, percent), some(w.told, percent), `${used.filter((each) => each.area === one.id).length}`]; })),
    h("h2", {}, t("p_charts")), figures,
    h("h2", {}, t("p_plus")), table([t("p_window"), t("p_area"), t("p_asked"), t("p_from"), t("p_until"), t("p_minutes"), t("h_standby"), t("p_why")], day.bands.map((one) => [one.window, areaName(one.area), some(one.asked, hm), some(one.opened, hm), some(one.until, hm), one.opened == null ? "—" : `${Math.round((one.until ?? end) - one.opened)}`, one.who ?? "—", say(one) || "—"]), [1, 6, 7]),
    h("h2", {}, t("p_pauses")), table([t("p_window"), t("p_from"), t("p_until"), t("p_minutes"), t("p_why")], day.pauses.map((one) => [one.window, hm(one.from), some(one.until, hm), `${Math.round((one.until ?? end) - one.from)}`, say(one) || "—"]), [4]),
    h("h2", {}, t("p_alarms")), table([t("p_from"), t("p_until"), t("p_why")], day.alarms.map((one) => [hm(one.from), some(one.until, hm), alarmWord(one)]), [2]),
    h("h2", {}, t("p_cases")), table([t("p_area"), t("p_what"), t("p_from"), t("p_answered"), t("p_minutes"), t("p_closed")], (day.cases ?? []).map((one) => [one.area == null ? "—" : areaName(one.area), `${caseWord(one.code)}${one.overdue ? ` · ${t("case_late")}` : ""}`, hm(one.from), some(one.answered, hm), some(one.answered, (n) => `${Math.round(n - one.from)}`), some(one.until, hm)]), [0, 1]),
    h("p", { class: "foot" }, t("p_made", { t: hallTime() })));
  for (const one of shown) {
    const first = Math.floor(day.begin / 30) * 30;
    timeline($(`#paper [data-area="${one.id}"] .chart`), day, { area: one.id, now: end + 1, first, last: end + 1, target: targetOf(one.id), read: () => {} });
  }
}
function render() {
  patch($("#day"), days.map((date) => h("option", { value: date }, `${date}${date === today ? ` · ${t("now")}` : ""}`)));
  if (!day) { $("#title").textContent = t("r_none"); patch($("#paper"), h("p", { class: "quiet" }, t("r_none_how"))); return; }
  $("#day").value = day.date;
  $("#replay").href = `/replay?day=${day.date}`;
  $("#title").textContent = t("p_day", { d: dateLine(`${day.date}T12:00`, true) });
  document.title = `${t("report_title")} ${day.date} · ${say(day.names.hall)}`;
  paper();
}
async function open(date) {
  const found = await fetch(`/days/${date}`);
  if (found.ok) { const one = await found.json(); if (one.names && one.begin != null) { day = one; history.replaceState(null, "", `?day=${date}`); } }
  render();
}
$("#day").addEventListener("change", (event) => open(event.target.value));
$("#print").addEventListener("click", () => print());
addEventListener("beforeprint", render);
live(render);
try {
  const found = await (await fetch("/days")).json();
  days = found.days;
  today = found.today;
} catch { /* shown as none */ }
const wanted = new URLSearchParams(location.search).get("day");
if (days.length) await open(days.includes(wanted) ? wanted : days.find((date) => date !== today) ?? days[0]);
