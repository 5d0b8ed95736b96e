// A day as lanes on one axis of time, from the form in which edged records it (day_recorder.py). Redrawn, never animated.
import { alarmWord, h, lang, s, say, t } from "./base.js";
import { WORDS } from "./words.js";

const LEFT = 84, RIGHT = 14, GAP = 9, ROW = 15;
const SIZES = { wait: 48, told: 62, open: 30, events: 30 };
const CASE_ROWS = 3, CASE_ROW = 6; // cases that overlap stand below each other

export const hm = (minute) => {
  const at = Math.max(0, Math.floor(minute + 1e-6));
  return `${String(Math.floor(at / 60) % 24).padStart(2, "0")}:${String(at % 60).padStart(2, "0")}`;
};
/** The value of a series of the day at a minute; "all" adds the areas up (null where that means nothing). */
export function value(day, area, key, minute) {
  const i = Math.floor(minute) - day.begin;
  if (area !== "all") return day.areas[area]?.[key]?.[i] ?? null;
  if (key.endsWith("_s")) return null;
  const all = Object.values(day.areas).map((one) => one[key]?.[i]).filter((n) => n != null);
  return all.length ? all.reduce((a, b) => a + b, 0) : null;
}
export const lastMinute = (day) => day.begin + Math.max(0, ...Object.values(day.areas).map((one) => one.waiting.length)) - 1;

function stairs(day, area, keys, first, last, x, y, base) {
  let d = "", open = false;
  for (let minute = Math.max(first, day.begin); minute <= last; minute += 1) {
    const found = keys.map((key) => value(day, area, key, minute));
    const n = found.some((one) => one == null) ? null : found.reduce((a, b) => a + b, 0);
    if (n == null) { if (open && base != null) d += `V${base}`; open = false; continue; }
    if (open) d += `H${x(minute)}V${y(n)}`;
    else d += base == null ? `M${x(minute)} ${y(n)}` : `M${x(minute)} ${base}V${y(n)}`;
    open = true;
    if (minute === last) d += `H${x(Math.min(minute + 1, last))}`;
  }
  return base != null && open ? `${d}V${base}` : d;
}

/** Why a case was brought: the hall's own words as they are, the six it comes with in both languages. */
export const caseWord = (code) => (WORDS[`code_${code}`] ? t(`code_${code}`) : code ?? "—");

/** Draw `day` into `place`. `first`, `last`, `now` in minutes of the day; `read(text)` gets what is under the cursor. */
export function timeline(place, day, { area, now, first, last, target, read }) {
  const areas = Object.fromEntries(day.names.areas.map((one) => [one.id, one]));
  const tidal = day.names.windows.filter((one) => one.tidal).map((one) => one.number);
  const zoom = Number(getComputedStyle(document.body).zoom) || 1, tall = innerHeight / zoom;
  const spare = innerWidth / zoom > 1180 ? (tall - 660) / 240 : innerWidth > 760 ? (tall - 1480) / 200 : 1; // a taller screen gets taller lanes
  const roomy = Math.max(1, Math.min(2, spare));
  const size = Object.fromEntries(Object.entries(SIZES).map(([name, n]) => [name, name === "events" ? n : Math.round(n * roomy)]));
  size.plus = Math.max(1, tidal.length) * ROW;
  const cases = day.cases ?? []; // days recorded before there was this lane have none
  if (cases.length) { size.cases = CASE_ROWS * CASE_ROW; size.wait -= 8; size.told -= 8; } // so that all stays on a desk's screen
  const narrow = place.clientWidth < 600;
  const width = narrow ? 860 : Math.max(600, place.clientWidth - 28);
  const height = Object.values(size).reduce((a, b) => a + b, 0) + GAP * (cases.length ? 5 : 4) + 32;
  const x = (minute) => Math.max(LEFT, Math.min(width - RIGHT, LEFT + ((minute - first) / Math.max(1, last - first)) * (width - LEFT - RIGHT)));
  const svg = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": t("h_line") });
  let top = 16;
  if (now < last) svg.append(s("rect", { class: "c-future", x: x(now), y: top, width: width - RIGHT - x(now), height: height - 34 }));
  const every = last - first > 400 ? 60 : 30;
  for (let at = Math.ceil(first / every) * every; at <= last; at += every) {
    svg.append(s("line", { class: "c-grid", x1: x(at), x2: x(at), y1: top, y2: height - 18 }), s("text", { class: "c-text", x: x(at), y: height - 5, "text-anchor": "middle" }, hm(at)));
  }
  const label = (text) => svg.append(s("text", { class: "c-text", x: 0, y: top + 11 }, text));
  const scale = (lane, most, marks) => {
    const y = (n) => top + size[lane] - (Math.min(n, most) / most) * size[lane];
    const here = top;
    for (const mark of marks) svg.append(s("text", { class: "c-text", x: LEFT - 6, y: y(mark) + (mark === most ? 9 : mark === 0 ? 0 : 4), "text-anchor": "end" }, `${mark}`));
    svg.append(s("line", { class: "c-zero", x1: LEFT, x2: width - RIGHT, y1: here + size[lane], y2: here + size[lane] }));
    const base = here + size[lane];
    return (n) => base - (Math.min(n, most) / most) * size[lane];
  };
  const until = Math.min(now, lastMinute(day));

  label(t("lane_wait"));
  let most = 10;
  for (let minute = first; minute <= until; minute += 1) most = Math.max(most, value(day, area, "waiting", minute) ?? 0);
  most = Math.ceil(most / 10) * 10;
  let y = scale("wait", most, [0, most]);
  svg.append(s("path", { class: "c-wait", d: stairs(day, area, ["waiting"], first, until, x, y, y(0)) }), s("path", { class: "c-wait-line", d: stairs(day, area, ["waiting"], first, until, x, y, null) }));
  top += size.wait + GAP;

  label(t("lane_told"));
  y = scale("told", 45, [0, 15, 30, 45]);
  svg.append(s("line", { class: "c-target", x1: LEFT, x2: width - RIGHT, y1: y(target), y2: y(target) }));
  let before = -1;
  for (const [at, where, waited, low, high] of day.visits) {
    if (at > until || at < first || (area !== "all" && where !== area) || waited == null) continue;
    const pixel = Math.round(x(at));
    if (area !== "all" && high != null) svg.append(s("line", { class: "c-told", x1: pixel, x2: pixel, y1: y(low / 60), y2: y(high / 60) }));
    const late = high != null && waited > high + 60;
    if (pixel === before && !late) continue; // one dot a pixel is all that can be seen
    before = pixel;
    svg.append(late ? s("circle", { class: "c-late", cx: pixel, cy: y(waited / 60), r: 2.6 }) : s("circle", { class: "c-real", cx: pixel, cy: y(waited / 60), r: 1.7 }));
  }
  top += size.told + GAP;

  label(t("lane_open"));
  let windows = 3;
  for (let minute = first; minute <= until; minute += 1) windows = Math.max(windows, (value(day, area, "open", minute) ?? 0) + (value(day, area, "tidal", minute) ?? 0));
  y = scale("open", windows, [0, windows]);
  svg.append(s("path", { class: "c-tidal", d: stairs(day, area, ["open", "tidal"], first, until, x, y, y(0)) }), s("path", { fill: "var(--card)", d: stairs(day, area, ["open"], first, until, x, y, y(0)) }), s("path", { class: "c-regular", d: stairs(day, area, ["open"], first, until, x, y, y(0)) }));
  top += size.open + GAP;

  label(t("lane_plus"));
  tidal.forEach((number, row) => {
    const at = top + row * ROW;
    svg.append(s("text", { class: "c-text", x: LEFT - 6, y: at + 10, "text-anchor": "end" }, number), s("line", { class: "c-grid", x1: LEFT, x2: width - RIGHT, y1: at + 6, y2: at + 6 }));
    for (const one of day.bands.filter((each) => each.window === number)) {
      const from = one.asked ?? one.opened, end = Math.min(one.until ?? now, now);
      if (end < first || from > last) continue;
      const other = area !== "all" && one.area !== area;
      const name = say(areas[one.area]);
      const group = s("g");
      if (one.opened == null) group.append(s("rect", { class: one.until == null ? "c-asked" : "c-failed", x: x(from), y: at + 1, width: Math.max(4, x(end) - x(from)), height: 10 }));
      else {
        if (one.asked != null) group.append(s("rect", { class: "c-asked", x: x(one.asked), y: at, width: Math.max(2, x(one.opened) - x(one.asked)), height: 12 }));
        group.append(s("rect", { class: other ? "c-other" : "c-band", x: x(one.opened), y: at, width: Math.max(1, x(end) - x(one.opened)), height: 12 }));
        if (x(end) - x(one.opened) > name.length * (lang === "zh" ? 11.5 : 6.4)) group.append(s("text", { class: other ? "c-other-text" : "c-band-text", x: x(one.opened) + 3, y: at + 10 }, name));
      }
      group.append(s("title", {}, [t("window", { n: number }), name, `${hm(from)}–${one.until == null ? "" : hm(one.until)}`, one.who, say(one)].filter(Boolean).join(" · ")));
      svg.append(group);
    }
  });
  top += size.plus + GAP;

  label(t("lane_events"));
  for (const one of day.pauses) {
    const end = Math.min(one.until ?? now, now);
    if (end < first || one.from > last) continue;
    svg.append(s("rect", { class: "c-pause", x: x(one.from), y: top + 1, width: Math.max(4, x(end) - x(one.from)), height: 11 }, s("title", {}, `${t("window", { n: one.window })} ${say(one)} ${hm(one.from)}–${one.until == null ? "" : hm(one.until)}`)));
    if (x(end) - x(one.from) > 20) svg.append(s("text", { class: "c-text", x: x(one.from) + 3, y: top + 10 }, one.window));
  }
  for (const one of day.alarms) {
    if (one.from < first || one.from > last) continue;
    svg.append(s("path", { class: "c-alarm", d: `M${x(one.from)} ${top + 17}l6 11h-12z` }, s("title", {}, `${hm(one.from)} ${alarmWord(one)}`)));
  }
  if (cases.length) {
    top += size.events + GAP;
    label(t("lane_cases"));
    const ends = Array(CASE_ROWS).fill(-1);
    for (const one of cases) {
      const end = Math.min(one.until ?? now, now), waited = Math.min(one.answered ?? end, end);
      let row = ends.findIndex((each) => each <= one.from);
      if (row < 0) row = ends.indexOf(Math.min(...ends));
      ends[row] = Math.max(end, one.from + 2);
      if (end < first || one.from > last) continue;
      const y0 = top + row * CASE_ROW, faint = area !== "all" && one.area !== area ? " faint" : "";
      const told = [t("lane_cases"), caseWord(one.code), say(areas[one.area]), `${hm(one.from)} ${t("case_from")}`, one.answered == null ? t("case_waits") : `${hm(one.answered)} ${t("case_answered")}`, one.until != null && `${hm(one.until)} ${t("case_closed")}`, one.overdue && t("case_late")];
      svg.append(s("g", { class: `c-case${faint}` }, s("rect", { class: one.overdue ? "c-case-wait late" : "c-case-wait", x: x(one.from), y: y0, width: Math.max(3, x(waited) - x(one.from)), height: 4.5 }),
        one.answered != null && s("rect", { class: one.overdue ? "c-case-hand late" : "c-case-hand", x: x(waited), y: y0 + 1.5, width: Math.max(1, x(end) - x(waited)), height: 2 }), s("title", {}, told.filter(Boolean).join(" · "))));
    }
  }
  if (now < last) svg.append(s("line", { class: "c-now", x1: x(now), x2: x(now), y1: 14, y2: height - 18 }), s("text", { class: "c-strong", x: x(now) + (x(now) > width - 90 ? -4 : 4), y: 11, "text-anchor": x(now) > width - 90 ? "end" : "start" }, `${hm(now)} ${t("now")}`));

  const cursor = s("line", { class: "c-cursor", y1: 14, y2: height - 18, visibility: "hidden" });
  svg.append(cursor);
  const move = (minute) => {
    const at = Math.max(Math.max(first, day.begin), Math.min(Math.round(minute), until));
    place.dataset.at = at;
    cursor.setAttribute("x1", x(at)); cursor.setAttribute("x2", x(at)); cursor.setAttribute("visibility", "visible");
    const plus = value(day, area, "tidal", at), wait = value(day, area, "wait_s", at);
    read(t("read", { t: hm(at), a: value(day, area, "waiting", at) ?? "—", b: value(day, area, "open", at) ?? "—", c: plus ? `+${plus}` : "" }) + (wait == null ? "" : t("read_wait", { n: Math.round(wait / 60) })));
  };
  place.onpointermove = (event) => {
    const box = svg.getBoundingClientRect();
    move(((((event.clientX - box.left) / box.width) * width - LEFT) / (width - LEFT - RIGHT)) * (last - first) + first);
  };
  place.onkeydown = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30, Home: -9999, End: 9999 }[event.key];
    if (by) { event.preventDefault(); move(Number(place.dataset.at ?? until) + by * (event.shiftKey ? 10 : 1)); }
  };
  const left = place.scrollLeft, drawn = place.firstChild;
  place.replaceChildren(svg);
  place.scrollLeft = drawn ? left : narrow ? x(now) - place.clientWidth * 0.75 : 0;
}

export function legend(target, cases = []) {
  const item = (word, ...marks) => h("li", {}, s("svg", { viewBox: "0 0 18 10", "aria-hidden": "true" }, marks), word);
  return [
    item(t("k_told"), s("line", { class: "c-told", x1: 9, x2: 9, y1: 0, y2: 10 })), item(t("k_real"), s("circle", { class: "c-real", cx: 9, cy: 5, r: 2.2 })), item(t("k_late"), s("circle", { class: "c-late", cx: 9, cy: 5, r: 3 })),
    item(t("k_target", { n: target }), s("line", { class: "c-target", x1: 0, x2: 18, y1: 5, y2: 5 })), item(t("k_regular"), s("rect", { class: "c-regular", x: 2, y: 0, width: 14, height: 10 })), item(t("k_tidal"), s("rect", { class: "c-tidal", x: 2, y: 0, width: 14, height: 10 })),
    item(t("k_asked"), s("rect", { class: "c-asked", x: 5, y: 0, width: 8, height: 10 })), item(t("k_pause"), s("rect", { class: "c-pause", x: 2, y: 1, width: 14, height: 8 })), item(t("k_alarm"), s("path", { class: "c-alarm", d: "M9 0l5 10h-10z" })),
    cases.length && item(t("k_case"), s("rect", { class: "c-case-wait", x: 1, y: 2.5, width: 7, height: 5 }), s("rect", { class: "c-case-hand", x: 8, y: 4, width: 9, height: 2 })),
  ].filter(Boolean);
}

/** The same, every half hour, for those who read tables. */
export function table(day, area, until) {
  const rows = [];
  for (let at = Math.ceil(day.begin / 30) * 30; at <= until; at += 30) {
    const cell = (key) => h("td", {}, `${value(day, area, key, at) ?? "—"}`);
    const wait = value(day, area, "wait_s", at);
    rows.push(h("tr", {}, h("th", { scope: "row" }, hm(at)), cell("waiting"), cell("open"), cell("tidal"), h("td", {}, wait == null ? "—" : `${Math.round(wait / 60)}`)));
  }
  const head = [t("time"), t("lane_wait"), t("k_regular"), t("k_tidal"), t("dlg_wait")];
  return h("table", {}, h("thead", {}, h("tr", {}, head.map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows));
}
