// The hall as it is: one stream of changes, the parts it tells, the hall's own clock, and whether any of it is still true.
import { later } from "./base.js";

export const parts = {};
const watchers = [];
let upto = 0, source = null, waiting = false, fell = null;
const beats = []; // [the hall's time, ours], the newest last
let heard = -Infinity; // when the hall last gave a sign of life, by our clock

/** Parts whose name begins so, by the rest of the name. */
export const under = (prefix) => Object.fromEntries(Object.entries(parts).filter(([name]) => name.startsWith(prefix)).map(([name, body]) => [name.slice(prefix.length), body]));
/** Call `draw(changed names)` after every change, at most once a frame. */
export const watch = (draw) => watchers.push(draw);

/** Listen to `address`. A gap in the numbers fetches the whole again. */
export function connect(address) {
  source?.close();
  upto = 0;
  source = new EventSource(address);
  source.onmessage = (event) => {
    const frame = JSON.parse(event.data);
    if (frame.from !== 0 && frame.from !== upto) { connect(address); return; }
    if (frame.from === 0) for (const name of Object.keys(parts)) delete parts[name];
    const whole = frame.from === 0;
    upto = frame.to;
    for (const [name, body] of Object.entries(frame.parts)) {
      if (body === null) delete parts[name]; else parts[name] = body;
    }
    if (frame.parts.beat) beat(frame.parts.beat.at, whole);
    tell(Object.keys(frame.parts));
  };
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) { clearTimeout(fell); fell = setTimeout(() => connect(address), 3000); }
  };
}
function beat(at, old) {
  beats.push([Date.parse(at), performance.now(), at]);
  if (beats.length > 6) beats.shift();
  if (!old) heard = performance.now(); // the first parts may hold the beat of a hall that has just stopped
}
let changed = new Set();
function tell(names) {
  names.forEach((name) => changed.add(name));
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    const told = changed;
    changed = new Set();
    watchers.forEach((draw) => draw(told));
  });
}
/** How many hall seconds go by in a real one: 1, but for a demo. */
function speed() {
  if (beats.length < 2) return 1;
  const [[hall0, ours0], [hall1, ours1]] = [beats[0], beats[beats.length - 1]];
  const found = (hall1 - hall0) / Math.max(1, ours1 - ours0);
  return found > 1.5 && found < 1000 ? found : 1;
}
/** The hall's time now (RFC 3339), or null before it said any. It stands still while nothing is heard. */
export function now() {
  if (!beats.length) return null;
  const [, ours, at] = beats[beats.length - 1];
  return later(at, Math.min(performance.now() - ours, 2500) * speed());
}
export const lastHeard = () => beats[beats.length - 1]?.[2] ?? null;
/** Seconds since the hall last gave a sign of life; Infinity before the first. */
export const silence = () => (performance.now() - heard) / 1000;
/** What may be believed: "fresh", "stale" (nothing heard), "offline" (its will came), "starting". */
export function standing(limit) {
  if (parts.status?.state === "offline") return "offline";
  if (silence() <= limit) return "fresh";
  return performance.now() < limit * 1000 + 2000 && heard === -Infinity ? "starting" : "stale";
}
