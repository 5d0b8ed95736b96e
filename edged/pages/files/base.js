// What every page needs: language, theme, time as people say it, and a way to redraw without losing the focus.
import { REASONS, WORDS } from "./words.js";

const query = new URLSearchParams(location.search);
const listeners = [];

function kept(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}
function keep(key, value) {
  try { localStorage.setItem(key, value); } catch { /* a kiosk may forbid it */ }
}

export let lang = (query.get("lang") ?? kept("lang")) === "en" ? "en" : "zh";
export const $ = (selector) => document.querySelector(selector);

/** A word of the pages; {blanks} are filled. */
export function t(key, blanks = {}) {
  const pair = WORDS[key];
  if (!pair) throw new Error(`no word ${key}`);
  return pair[lang === "zh" ? 0 : 1].replace(/\{(\w+)\}/g, (_, name) => blanks[name] ?? "");
}
/** A text of the hall: {zh, en}, or a thing with name and name_en. */
export function say(pair) {
  if (pair == null) return "";
  return lang === "zh" ? pair.zh ?? pair.name ?? "" : pair.en ?? pair.name_en ?? pair.zh ?? pair.name ?? "";
}

// ---- time: texts as the hall wrote them, so that a page abroad still shows the hall's own hours ----
export const clock = (at, seconds = false) => (at ?? "").slice(11, seconds ? 19 : 16);
export const ms = (at) => Date.parse(at);
export const minutes = (from, to) => Math.max(0, Math.floor((ms(to) - ms(from)) / 60000));
/** `at` (RFC 3339) plus `more` ms, in the same offset. */
export function later(at, more) {
  const zone = at.slice(-6), sign = zone[0] === "-" ? -1 : 1;
  const offset = zone.endsWith("Z") ? 0 : sign * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6)));
  return new Date(ms(at) + more + offset * 60000).toISOString().slice(0, 19) + (zone.endsWith("Z") ? "+00:00" : zone);
}
export function dateLine(at, year = false) {
  const day = new Date(`${at.slice(0, 10)}T12:00:00Z`);
  const how = lang === "zh" ? { month: "long", day: "numeric", weekday: "short" } : { weekday: "short", day: "numeric", month: "short" };
  return new Intl.DateTimeFormat(lang === "zh" ? "zh-CN" : "en-GB", { ...how, ...(year ? { year: "numeric" } : {}), timeZone: "UTC" }).format(day);
}
/** A wait told as a range of minutes; seconds come in. */
export function range(low, high, short = "") {
  if (high == null) return t("unknown");
  const a = Math.max(0, Math.floor((low ?? 0) / 60)), b = Math.max(1, Math.ceil(high / 60));
  return b <= 5 ? t(`under5${short}`) : t(`range${short}`, { a, b });
}
/** Of what an alarm is, where its sentence does not say so itself; then the sentence. */
export function alarmWord(one) {
  const name = say(one.subject);
  return !name || say(one).includes(name) || /^[a-z]+\d*$/.test(name) ? say(one) : `${name}${lang === "zh" ? "：" : ": "}${say(one)}`;
}
/** A reason of the duty desk is sent in Chinese; those of its own list are told in the reader's language. */
export const reasonWord = (text) => (lang === "zh" ? text : Object.values(REASONS).flat().find(([zh]) => zh === text)?.[1] ?? text);
export const list = (words) => words.join(lang === "zh" ? "、" : ", ");

// ---- nodes ----
function made(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value != null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((child) => child != null && child !== false));
  return node;
}
export const h = (tag, attributes = {}, ...children) => made(document.createElement(tag), attributes, children);
export const s = (tag, attributes = {}, ...children) => made(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** Make `place` hold `wanted`, changing only what differs: focus, scrolling and open details survive. `data-key` names rows. */
export function patch(place, ...wanted) {
  const fresh = wanted.flat(3).filter((child) => child != null && child !== false).map((child) => (child instanceof Node ? child : document.createTextNode(child)));
  const wantedKeys = new Set(fresh.map((node) => node.dataset?.key).filter(Boolean));
  for (const node of [...place.children]) if (node.dataset.key && !wantedKeys.has(node.dataset.key)) node.remove(); // so that the rest need not move
  const named = new Map([...place.children].filter((node) => node.dataset.key).map((node) => [node.dataset.key, node]));
  fresh.forEach((node, position) => {
    const here = place.childNodes[position] ?? null, key = node.dataset?.key;
    const same = key ? named.get(key) : here && !here.dataset?.key && here.nodeName === node.nodeName ? here : null;
    if (!same) { place.insertBefore(node, here); return; }
    if (same !== here) place.insertBefore(same, here);
    morph(same, node);
  });
  while (place.childNodes.length > fresh.length) place.lastChild.remove();
}
function morph(old, fresh) {
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !(name === "open" && old.tagName === "DETAILS")) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value && !(name === "open" && old.tagName === "DETAILS")) old.setAttribute(name, value);
  patch(old, ...fresh.childNodes);
}

/** The lamp as a form: ring = off, sun = steady, half disc in a broken ring = blinking. */
export function lamp(kind) {
  const rays = Array.from({ length: 8 }, (_, i) => {
    const c = Math.cos((i * Math.PI) / 4), d = Math.sin((i * Math.PI) / 4);
    return s("line", { class: "ray", x1: 8 + c * 6.2, y1: 8 + d * 6.2, x2: 8 + c * 7.8, y2: 8 + d * 7.8 });
  });
  return s("svg", { class: `bulb ${kind}`, viewBox: "0 0 16 16", role: "img", "aria-label": t(`lamp_${kind}`) },
    s("circle", { class: "ring", cx: 8, cy: 8, r: 4.6 }),
    kind === "on" && [s("circle", { class: "core", cx: 8, cy: 8, r: 4 }), rays],
    kind === "blink" && [s("path", { class: "half", d: "M8 3.4A4.6 4.6 0 0 1 8 12.600Z" }), s("circle", { class: "ring", cx: 8, cy: 8, r: 7.2, "stroke-dasharray": "2.2 2.3" })]);
}

// ---- language and theme ----
function dress() {
  document.documentElement.lang = lang === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of document.querySelectorAll("[data-label]")) node.setAttribute("aria-label", t(node.dataset.label));
  const button = $("#theme");
  if (button) button.textContent = t(document.documentElement.dataset.theme === "dark" ? "to_light" : "to_dark");
  const other = $("#lang");
  if (other) { other.textContent = lang === "zh" ? "English" : "中文"; other.lang = lang === "zh" ? "en" : "zh-CN"; }
}
/** Draw now, and again whenever language or theme changes. */
export function live(render) {
  listeners.push(render);
  dress();
  render();
}
document.addEventListener("click", (event) => {
  if (event.target.closest("#lang")) { lang = lang === "zh" ? "en" : "zh"; keep("lang", lang); }
  else if (event.target.closest("#theme")) {
    const root = document.documentElement;
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    keep("theme", root.dataset.theme);
  } else return;
  dress();
  listeners.forEach((render) => render());
});
dress();
