// A recorded day again: scrub or play it; beside it the same day under another policy, worked out by the server's child.
import { $, clock, dateLine, h, live, patch, range, s, say, t } from "./base.js";
import { hm, lastMinute, legend, timeline, value } from "./timeline.js";

const SPEEDS = [[1, "×1"], [4, "×4"], [16, "×16"]], FRAME_MS = 125;
const CHOICES = ["3", "5", "6", "7", "8", "10", "12", "15", "20", "never"];
const TAGS = { ask: "tide", open: "tide", refuse: "alarm", escalate: "lamp", override: "lamp" };
let days = [], today = "", day = null, area = null, at = 0, speed = 4, timer = null, answer = null, asked = null;

const bounds = () => [day.begin, Math.max(day.begin + 1, lastMinute(day))];
const areaName = (id) => say(day.names.areas.find((one) => one.id === id));
const target = () => Math.round((Object.values(day.totals).map((one) => one.target_s).find(Boolean) ?? 900) / 60);
const own = () => Math.round(Math.max(0, ...Object.values(day.totals).map((one) => one.limit_s ?? 0)) / 60) || 9;

function stateAt(id, minute) {
  let found = [0, "CLOSED", null, null];
  for (const step of day.windows[id] ?? []) { if (step[0] > minute) break; found = step; }
  return found;
}
function moment() {
  patch($("#tiles"), day.names.windows.map((site) => {
    const [, state, ticket, where] = stateAt(site.id, at);
    const text = ticket ?? (site.tidal && where ? areaName(where) : state === "OPEN" ? t("s_OPEN") : ["CLOSED", "COOLDOWN"].includes(state) ? "—" : t(`s_${state}`));
    return h("li", { class: `tile ${state}${site.tidal ? " tidal" : ""}`, "data-key": site.id, title: `${t("window", { n: site.number })} ${t(`s_${state}`)}${where && site.tidal ? ` · ${areaName(where)}` : ""}` }, h("b", {}, site.number), h("span", {}, text));
  }));
  patch($("#sums"), day.names.areas.filter((one) => day.areas[one.id]).map((one) => h("div", { "data-key": one.id }, h("dt", {}, say(one)), h("dd", {}, `${value(day, one.id, "waiting", at) ?? "—"} `, h("small", {}, `${t("waits")} · ${range(value(day, one.id, "low_s", at), value(day, one.id, "high_s", at), "_short")}`)))));
  const before = day.decisions.filter((one) => Number(one.at.slice(11, 13)) * 60 + Number(one.at.slice(14, 16)) <= at).slice(-4).reverse();
  patch($("#told"), before.length ? before.map((one) => h("li", { "data-key": `${one.n}${one.at}` }, h("time", { datetime: one.at }, clock(one.at)), h("p", {}, h("span", { class: `tag ${TAGS[one.decision] ?? ""}` }, t(`d_${one.decision}`)), say(one)))) : h("li", { class: "quiet", "data-key": "none" }, h("span"), t("no_decisions")));
}
function go(minute) {
  const [first, last] = bounds();
  at = Math.max(first, Math.min(last, Math.round(minute)));
  $("#scrub").value = at;
  $("#scrub").setAttribute("aria-valuetext", hm(at));
  $("#time").textContent = hm(at);
  const cursor = $("#chart .c-cursor");
  if (cursor) { const x = $("#chart").place(at); cursor.setAttribute("x1", x); cursor.setAttribute("x2", x); cursor.setAttribute("visibility", "visible"); }
  moment();
}
function film() {
  const [first, last] = bounds();
  $("#h-film").textContent = dateLine(`${day.date}T12:00`, true);
  const from = Math.floor(first / 30) * 30;
  timeline($("#chart"), day, { area, now: last + 1, first: from, last: last + 1, target: target(), read: (text) => { $("#read").textContent = text; } });
  const box = $("#chart svg").viewBox.baseVal.width;
  $("#chart").place = (minute) => 84 + ((minute - from) / Math.max(1, last + 1 - from)) * (box - 98);
  $("#chart").onclick = (event) => { const rect = $("#chart svg").getBoundingClientRect(); go(((((event.clientX - rect.left) / rect.width) * box - 84) / (box - 98)) * (last + 1 - from) + from); };
  $("#chart").onkeydown = (event) => { const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30 }[event.key]; if (by) { event.preventDefault(); go(at + by); } };
  patch($("#pick"), [{ id: "all", zh: t("all"), en: t("all") }, ...day.names.areas.filter((one) => day.areas[one.id])].map((one) => h("button", { type: "button", "data-area": one.id, "data-key": one.id, "aria-pressed": `${one.id === area}` }, say(one))));
  patch($("#keys"), legend(target(), day.cases));
  $("#scrub").min = first;
  $("#scrub").max = last;
}
const round1 = (n) => Math.round(n * 10) / 10;
const staffTime = (n) => (n < 60 ? t("min", { n }) : t("hm", { h: Math.floor(n / 60), m: n % 60 }));
function sentence() {
  const { own: a, other: b } = answer, more = Math.round((b.within - a.within) * 100), staff = b.staff_min - a.staff_min, acts = b.activations - a.activations;
  const minutes = Math.round(answer.target_min);
  const words = (n, key) => t(`r_${key}_${n < 0 ? "less" : n ? "more" : "same"}`, { n: Math.abs(n), m: minutes });
  if (answer.other_min != null && a.mean === b.mean && !more && !staff && !acts) return t("r_equal", { d: dateLine(`${day.date}T12:00`), n: answer.other_min });
  return t(answer.other_min == null ? "r_never" : "r_sentence", { d: dateLine(`${day.date}T12:00`), n: answer.other_min, a: a.mean, b: b.mean, within: words(more, "within"), staff: words(staff, "staff"), e: Math.abs(staff), acts: words(acts, "acts") });
}
function recorded() {
  const waits = day.visits.map((one) => one[2]).filter((one) => one != null).map((one) => one / 60).sort((a, b) => a - b);
  const bands = day.bands.filter((one) => one.opened != null), end = lastMinute(day), n = Math.max(1, waits.length);
  return { visitors: waits.length, mean: round1(waits.reduce((a, b) => a + b, 0) / n), p90: round1(waits[Math.floor(0.9 * (waits.length - 1))] ?? 0), max: round1(waits[waits.length - 1] ?? 0), within: waits.filter((one) => one <= target()).length / n, staff_min: Math.round(bands.reduce((sum, one) => sum + (one.until ?? end) - (one.asked ?? one.opened), 0)), activations: bands.length };
}
function figures() {
  const real = recorded(), { own: a, other: b } = answer, minutes = (n) => t("min", { n });
  const rows = [["r_mean", "mean", minutes, -1], ["r_p90", "p90", minutes, -1], ["r_max", "max", minutes, -1], ["r_in", "within", (n) => `${(n * 100).toFixed(1)}%`, 1], ["r_staff", "staff_min", staffTime, 0], ["r_act", "activations", (n) => t("times", { n }), 0]];
  const tag = (key, good) => {
    const d = round1(key === "within" ? (b[key] - a[key]) * 100 : b[key] - a[key]);
    const word = d === 0 ? "r_same" : good ? (d * good > 0 ? "r_better" : "r_worse") : d > 0 ? "r_more" : "r_less";
    return h("span", { class: `tag ${d === 0 ? "" : good ? (d * good > 0 ? "well" : "lamp") : d > 0 ? "lamp" : "well"}` }, `${d > 0 ? "+" : d < 0 ? "−" : ""}${d ? Math.abs(d) : ""} ${t(word)}`);
  };
  const head = [t("r_recorded"), `${t("r_real")} ${t("mins", { n: Math.round(answer.own_min) })}`, answer.other_min == null ? t("r_never_short") : `${t("r_other")} ${t("mins", { n: answer.other_min })}`, t("r_diff")];
  patch($("#figures"), h("thead", {}, h("tr", {}, h("td"), head.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows.map(([word, key, form, good]) => h("tr", {}, h("th", { scope: "row" }, t(word, { n: Math.round(answer.target_min) })), h("td", { class: "quiet" }, form(real[key])), h("td", {}, form(a[key])), h("td", { class: "b" }, form(b[key])), h("td", {}, tag(key, good))))));
}
function both() {
  const chosen = answer.areas[area] ? area : Object.keys(answer.areas)[0], one = answer.areas[chosen];
  if (!one) { $("#both").replaceChildren(); return; }
  const place = $("#both"), width = Math.max(560, place.clientWidth - 28), left = 84, right = 12, height = 212, [first, last] = bounds();
  const x = (minute) => Math.max(left, Math.min(width - right, left + ((minute - first) / (last - first)) * (width - left - right)));
  const most = Math.max(5, ...one.own.waiting.map((p) => p[1]), ...one.other.waiting.map((p) => p[1])), y = (n) => 16 + 110 - (n / most) * 110;
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${areaName(chosen)} ${t("lane_wait")}` }, s("text", { class: "c-strong", x: 0, y: 12 }, areaName(chosen)), s("text", { class: "c-text", x: 0, y: 32 }, t("lane_wait")));
  for (let hour = Math.ceil(first / 60); hour * 60 <= last; hour += 1) svg.append(s("line", { class: "c-grid", x1: x(hour * 60), x2: x(hour * 60), y1: 16, y2: 190 }), s("text", { class: "c-text", x: x(hour * 60), y: 206, "text-anchor": "middle" }, `${hour}:00`));
  for (const n of [0, most]) svg.append(s("text", { class: "c-text", x: left - 8, y: y(n) + 4, "text-anchor": "end" }, `${n}`));
  svg.append(s("line", { class: "c-zero", x1: left, x2: width - right, y1: y(0), y2: y(0) }));
  const line = (points, f) => points.map(([minute, n], i) => `${i ? `H${x(minute)}V` : `M${x(minute)} `}${f(n)}`).join("");
  svg.append(s("path", { class: "a-line", d: line(one.own.waiting, y) }), s("path", { class: "b-line", d: line(one.other.waiting, y) }));
  const lane = (points, top, kind, label) => {
    svg.append(s("text", { class: "c-text", x: 0, y: top + 12 }, label));
    points.forEach(([minute, n], i) => { const end = points[i + 1]?.[0] ?? minute; if (n) svg.append(s("rect", { class: kind, x: x(minute), y: top + 16 - Math.min(16, n * 7), width: Math.max(0.5, x(end) - x(minute)), height: Math.min(16, n * 7) })); });
    svg.append(s("line", { class: "c-zero", x1: left, x2: width - right, y1: top + 16, y2: top + 16 }));
  };
  lane(one.own.staff, 140, "a-bar", t("k_tidal"));
  lane(one.other.staff, 168, "b-bar", "");
  place.replaceChildren(svg);
  patch($("#both-keys"), [["a-line", t("r_real")], ["b-line", answer.other_min == null ? t("r_never_short") : t("r_other")]].map(([kind, text]) => h("li", {}, s("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" }, s("path", { class: kind, d: "M0 5H26" })), text)));
}
function told() {
  $("#answer").hidden = answer === null;
  if (!answer) return;
  $("#sentence").textContent = sentence();
  figures();
  both();
}
function ask() {
  asked?.close();
  answer = null;
  told();
  $("#running").textContent = t("r_wait_turn");
  $("#progress").hidden = false;
  $("#progress").value = 0;
  asked = new EventSource(`/replay/what?day=${day.date}&minutes=${$("#minutes").value}`);
  const end = (text) => { asked.close(); asked = null; $("#progress").hidden = true; $("#running").textContent = text; };
  asked.onerror = () => end(t("r_failed"));
  asked.onmessage = (event) => {
    const said = JSON.parse(event.data);
    if (said.result) { answer = said.result; end(""); told(); }
    else if (said.failed) end(t("r_failed"));
    else if (said.of) { const n = Math.round((said.done / said.of) * 100); $("#progress").value = n; $("#running").textContent = t("r_running", { n }); }
  };
}
function render() {
  document.title = `${t("r_title")}${day?.names ? ` · ${say(day.names.hall)}` : ""}`;
  patch($("#day"), days.map((date) => h("option", { value: date }, `${date}${date === today ? ` · ${t("now")}` : ""}`)));
  if (day) $("#day").value = day.date;
  const whole = Boolean(day?.names && day.begin != null);
  for (const id of ["film", "hall", "other"]) $(`#${id}`).hidden = !whole;
  $("#none").hidden = whole;
  $("#none-what").textContent = t("r_none");
  $("#none-how").textContent = t("r_none_how");
  if (!whole) return;
  $("#report").href = `/report?day=${day.date}`;
  $("#what").textContent = `${say(day.names.hall)} · ${t("r_visitors")} ${day.visits.length}${day.policy ? ` · v${day.policy.version} ${say(day.policy)}` : ""}`;
  $("#ask-word").textContent = t("r_instead", { n: own() });
  const chosen = $("#minutes").value || (own() === 7 ? "5" : "7");
  patch($("#minutes"), CHOICES.map((one) => h("option", { value: one }, one === "never" ? t("r_never_short") : t("r_open_at", { n: one }))));
  $("#minutes").value = chosen;
  patch($("#speed"), SPEEDS.map(([n, text]) => h("button", { type: "button", "data-speed": n, "data-key": n, "aria-pressed": `${n === speed}` }, text)));
  $("#play").textContent = t(timer ? "r_stop" : "r_play");
  film();
  go(at);
  told();
}
async function open(date) {
  const found = await fetch(`/days/${date}`);
  if (!found.ok) { render(); return; }
  day = await found.json();
  answer = null;
  if (day.begin == null || !day.names) { day = null; render(); return; }
  const sum = (id) => (day.areas[id]?.waiting ?? []).reduce((a, b) => a + (b ?? 0), 0);
  if (!day.areas[area]) area = Object.keys(day.areas).sort((a, b) => sum(b) - sum(a))[0] ?? "all";
  const busiest = (day.areas[area]?.waiting ?? [0]).reduce((best, n, i, all) => ((n ?? 0) > (all[best] ?? 0) ? i : best), 0);
  at = day.begin + busiest;
  history.replaceState(null, "", `?day=${date}`);
  render();
}
$("#day").addEventListener("change", (event) => open(event.target.value));
$("#pick").addEventListener("click", (event) => { const one = event.target.closest("[data-area]"); if (one) { area = one.dataset.area; render(); } });
$("#speed").addEventListener("click", (event) => { const one = event.target.closest("[data-speed]"); if (one) { speed = Number(one.dataset.speed); render(); } });
$("#scrub").addEventListener("input", (event) => go(Number(event.target.value)));
$("#play").addEventListener("click", () => {
  if (timer) { clearInterval(timer); timer = null; }
  else {
    if (at >= bounds()[1]) at = bounds()[0];
    let part = 0;
    timer = setInterval(() => { part += speed / 4; if (part >= 1) { go(at + Math.floor(part)); part %= 1; } if (at >= bounds()[1]) $("#play").click(); }, FRAME_MS);
  }
  $("#play").textContent = t(timer ? "r_stop" : "r_play");
});
$("#run").addEventListener("click", ask);
$("#copy").addEventListener("click", async () => { try { await navigator.clipboard.writeText(sentence()); $("#copy").textContent = t("r_copied"); } catch { getSelection().selectAllChildren($("#sentence")); } });
addEventListener("resize", () => { if (day) { film(); go(at); told(); } });
live(render);
try {
  const found = await (await fetch("/days")).json();
  days = found.days;
  today = found.today;
} catch { /* shown as none */ }
const wanted = new URLSearchParams(location.search).get("day");
if (days.length) await open(days.includes(wanted) ? wanted : days.find((date) => date !== today) ?? days[0]);
