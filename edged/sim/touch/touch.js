// The demo's controls. Every button sends one act; the demo's devices send the real messages.
import "./touch_words.js";
import { $, h, lamp, lang, live, patch, say, t } from "./base.js";

const SCENES = [["rush", "rush"], ["coach", "coach"], ["silence", "silence"], ["led", "led"], ["broker", "kill_broker"], ["daemon", "kill_daemon"], ["harm", "harm"]];
const CLASSES = ["normal", "elderly", "disabled", "pregnant", "military"], LOOK_MS = 1000;
const KEYS = ["next", "recall", "arrive", "finish", "no-show", "pause", "unpause", "special-need", "transfer", "commissioner", "login"];
const DUTY = ["accept", "force-open", "force-close", "hold", "lift", "pause-issuing", "priority-insert", "extend-hours"];
let now = null, gone = false, said = null, bad = false;

const word = (key) => t(key === "login" ? "x_login_key" : `x_${key}`);
const option = (value, text) => h("option", { value, "data-key": value }, text);
const minutes = (seconds) => Math.round(seconds / 60);
function paper(one) {
  const wait = one.wait_high_s ? t("x_wait", { a: minutes(one.wait_low_s), b: minutes(one.wait_high_s) }) : "";
  return h("li", { "data-key": one.id }, h("b", {}, one.number), h("span", {}, [t("x_ahead", { n: one.ahead }), wait].filter(Boolean).join(" · ")), one.url && h("a", { href: one.url, target: "_blank", rel: "noopener" }, t("x_phone")));
}
/** How the daemon stands, as the demo says it, in the reader's language. */
function daemon(told) {
  const [, pid] = /pid (\d+)/.exec(told) ?? [], [, code] = /ended with (-?\d+)/.exec(told) ?? [];
  return pid ? t("x_serving", { n: pid }) : code ? t("x_ended", { n: code }) : t("x_starting");
}
function see() {
  const broker = now.broker == null ? t("x_yours") : t(now.broker ? "x_up" : "x_down");
  const rows = [["x_clock", now.clock], ["x_daemon", daemon(now.daemon)], ["x_broker", broker], ["x_policy", now.policy && t("x_version", { n: now.policy })]];
  return [...rows.filter(([, text]) => text).map(([name, text]) => [h("dt", {}, t(name)), h("dd", { id: name }, text)]),
    h("dt", {}, t("x_lamps")), h("dd", { class: "lamps" }, now.windows.filter((one) => one.lamp).map((one) => h("span", { "data-key": one.number }, lamp(one.lamp), h("span", {}, ` ${one.number} ${t(`lamp_${one.lamp}`)}`)))),
    ...Object.entries(now.leds).map(([name, lines]) => [h("dt", {}, say(now.names[name])), h("dd", { class: "led", id: name }, lines.join("\n") || t("x_dark"))])];
}
function render() {
  document.title = t("x_title");
  $("#said").className = bad || gone ? "said bad" : "said";
  $("#said").textContent = gone ? t("x_gone") : say(said);
  patch($("#scenes"), SCENES.map(([act, name]) => h("button", { class: "btn", type: "button", "data-act": act, "aria-pressed": act === "led" ? `${Boolean(now?.led_unplugged)}` : null }, h("b", {}, t(`x_${name}`)), h("small", {}, t(`x_${name}_s`)))));
  patch($("#keys"), KEYS.map((key) => h("button", { class: "btn", type: "submit", value: key }, word(key))));
  patch($("#levels"), [5, 4, 3, 2, 1].map((level) => h("button", { class: "btn", type: "submit", value: level }, `${level} ★`)));
  patch($("#ticket [name=priority]"), CLASSES.map((one) => option(one, t(`x_${one}`))));
  patch($("#duty [name=key]"), DUTY.map((one) => option(one, word(one))));
  $("#key [name=arg]").placeholder = t("x_arg_key");
  $("#duty [name=arg]").placeholder = t(`x_arg_${$("#duty [name=key]").value}`);
  if (!now) return;
  const links = now.pages ? [["", "x_hall"], ["board", "x_board"], ["duty", "x_desk"], ["replay", "x_replay"]] : [];
  patch($("#links"), links.map(([path, name]) => h("a", { href: `${now.pages}${path}?lang=${lang}`, target: "_blank", rel: "noopener" }, t(name), path === "duty" && ` (${t("x_login", { n: now.duty[0], p: now.duty[1] })})`)));
  patch($("#ticket [name=service]"), now.services.map((one) => option(one.id, say(one))));
  for (const form of ["key", "rate"]) patch($(`#${form} [name=window]`), now.windows.filter((one) => form === "key" || one.evaluator).map((one) => option(one.number, `${one.number}${one.tidal ? " +1" : ""}`)));
  patch($("#papers"), now.papers.map(paper));
  patch($("#see"), see());
}
async function act(body) {
  try {
    const answer = await fetch("/do", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    said = await answer.json();
    bad = !answer.ok;
  } catch { gone = true; }
  render();
  look();
}
async function look() {
  try { now = await (await fetch("/state", { cache: "no-store" })).json(); gone = false; } catch { gone = true; }
  render();
}
document.addEventListener("click", (event) => {
  const scene = event.target.closest("[data-act]");
  if (scene) act({ act: scene.dataset.act });
});
document.addEventListener("change", render);
document.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target, fields = Object.fromEntries(new FormData(form)), key = event.submitter?.value;
  if (form.id === "key") fields.key = key;
  if (form.id === "rate") fields.level = Number(key);
  if (form.id === "count") fields.people = Number(fields.people);
  act({ act: form.id, ...fields });
});
live(render);
look();
setInterval(look, LOOK_MS);
