// A visitor's own number on a phone: one short question, asked again as often as the last answer said. No name, no ID.
import { $, clock, h, lang, list, live, patch, range, say, t } from "./base.js";

const address = `${location.pathname.split("/").pop()}/now`, SOON = 3, PATIENCE_MS = 10000, LATER_S = 20, EARLY = 4, EARLY_S = 2; // a number that was printed a moment ago is told in a few seconds
let own = null, failed = false, buzz = false, timer = null, asking = false, told = "", unknown = 0;

const two = () => h("dl", { class: "two" }, h("div", {}, h("dt", {}, t("own_ahead")), h("dd", {}, own.ahead == null ? "—" : t("own_people", { n: own.ahead }))), h("div", {}, h("dt", {}, t("own_wait")), h("dd", {}, range(own.low_s, own.high_s))));
const note = (big, small) => h("div", { class: "note" }, h("b", {}, big), small && h("p", {}, small));
const go = (word) => h("p", { class: "go" }, word, own.window && h("b", {}, t("window", { n: own.window })));
const plain = (kind) => note(t(`own_${kind}`), t(`own_${kind}_s`));
const FACES = {
  waiting: () => [two(), own.back_by ? note(t("own_back", { t: clock(own.back_by) }), t("own_back_s")) : plain("stay")],
  soon: () => [two(), note(t("own_soon"), t("own_soon_s", { a: say(own.area) }))],
  called: () => [h("p", { class: "go" }, t("own_called")), go(t("own_go")), h("p", {}, t("own_call", { n: own.calls, m: own.calls_max }))],
  serving: () => [go(t("own_serving"))],
  booked: () => [note(t("own_booked"))],
};
function kind() {
  if (own.state === "unknown" && unknown < EARLY) return "looking";
  if (own.state === "waiting" && own.ahead != null && own.ahead <= SOON && !own.back_by) return "soon";
  return own.state;
}
function more() {
  if (!["waiting", "booked"].includes(own.state)) return [];
  const facts = [[t("own_windows"), own.windows.length ? t("own_windows_n", { n: list(own.windows) }) : "—"], [t("own_last"), list(own.last) || "—"], [t("own_issued"), clock(own.issued)], own.told && [t("own_told"), range(...own.told)]];
  return [navigator.vibrate && h("button", { class: "btn", type: "button", id: "buzz", "aria-pressed": `${buzz}` }, t(buzz ? "own_buzz_on" : "own_buzz")),
    h("dl", { class: "facts" }, facts.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    h("details", {}, h("summary", {}, t("own_rules")), h("p", {}, t("own_rules_s", { m: own.calls_max })))];
}
function render() {
  const old = failed || (own && own.fresh === false);
  $("#banner").hidden = !old;
  $("#banner").textContent = !old ? "" : own?.at ? t("own_stale", { t: clock(own.at) }) : t("own_never");
  if (!own) return;
  $("#name").textContent = say(own.hall);
  const face = kind(), head = own.number ? [h("h2", {}, t("own_yours"), h("b", {}, own.number)), h("p", { class: "service" }, [say(own.area), say(own.service)].filter((one, at, all) => one && all.indexOf(one) === at).join(" · "))] : [];
  document.title = own.number ? `${own.number} · ${say(own.hall)}` : t("own_title");
  $("#face").className = `face ${face}`;
  patch($("#face"), head, (FACES[face] ?? (() => [plain(face)]))());
  patch($("#more"), own.number ? more() : []);
  const call = face === "called" ? `${own.number} ${t("own_called")} ${t("own_go")} ${own.window ? t("window", { n: own.window }) : ""} ${own.calls}` : "";
  if (call !== told) {
    $("#spoken").textContent = told = call;
    if (call && buzz) navigator.vibrate([300, 200, 300]);
  }
}
async function ask() {
  clearTimeout(timer);
  if (asking) return;
  asking = true;
  try {
    const answer = await fetch(address, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (answer.status !== 200 && answer.status !== 404) throw new Error(`${answer.status}`);
    own = await answer.json();
    unknown = own.state === "unknown" ? unknown + 1 : 0;
    failed = false;
  } catch { failed = true; }
  asking = false;
  render();
  // Two thousand phones that saw the same call do not ask in the same moment.
  timer = setTimeout(ask, (failed ? LATER_S : kind() === "looking" ? EARLY_S : own.again_s ?? 60) * 1000 * (0.85 + Math.random() * 0.3));
}
document.addEventListener("visibilitychange", () => { if (document.visibilityState === "visible") ask(); else clearTimeout(timer); });
document.addEventListener("click", (event) => {
  if (event.target.closest("#big")) $("#big").setAttribute("aria-pressed", `${document.documentElement.classList.toggle("big")}`);
  if (event.target.closest("#buzz")) { buzz = !buzz; navigator.vibrate?.(60); render(); }
});
live(render);
ask();
