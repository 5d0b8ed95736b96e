"""The JSON object that a demo prints at its end, made from the journal and the fakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from edged.config import HallConfig
from edged.sim.fakes import Fakes
from edged.sim.tally import DemoTotals, Tail, mean, quantile
from edged.sim.verdict import inputs_lost, outputs_wrong
from edged.store.replay import replay


class RunSettings(Protocol):
    """The options of ``edged demo`` that the summary repeats: seed and speed. A Protocol, because this module cannot
    import the demo's ``Settings`` (the demo imports this module).
    """

    @property
    def seed(self) -> int: ...
    @property
    def speed(self) -> float: ...


class Summary(dict[str, Any]):
    """The summary of a demo run as JSON values. ``complaints``: the faults found by the final check, in words; they are
    not part of the JSON.
    """

    complaints: list[str]

    @property
    def good(self) -> bool:
        """Whether the journal replays identically, no input is lost, no output is wrong and every key had a visible
        answer.
        """
        kept = not (self["inputs_lost"] or self["outputs_wrong"] or self["unanswered_keys"])
        return bool(self["replay_identical"]) and kept


def story_of(tally: DemoTotals) -> dict[str, Any]:
    """Count what happened besides calling and serving: transfers, cases, orders and the like. Returns the part of the
    summary about it.
    """
    notes, alarms = tally.notes, tally.alarms
    return {
        "hours": tally.hours,
        "cases": {word: notes[f"case.{word}"] for word in ("opened", "acknowledged", "closed", "rated")},
        "ratings": {word: notes[f"rating.{word}"] for word in ("given", "bad", "answered")},
        "appointments": {"made": notes["appointment.made"], "checked_in": notes["ticket.checked_in"]},
        "transfers": notes["ticket.transferred"] - notes["ticket.next_stage"],
        "journey_stages": notes["ticket.next_stage"],
        "told_once": {"told": notes["ticket.told_once"], "back": notes["ticket.returned"]},
        "commissioners": notes["commissioner.came"],
        "slips": notes["slip.printed"],
        "pauses": notes["window.paused"],
        "alarms": dict(sorted(alarms.items())),
        "overrides": notes["override.set"],
        "announcements": notes["announcement.accepted"],
        "consultations": notes["consultation.answered"],
        "wishes": notes["tidal.wish_over"],
        "wishes_open": len(tally.wishes),
        "unanswered_keys": len(tally.unanswered),
    }


def summarise(config: HallConfig, fakes: Fakes, journal: Path, settings: RunSettings, end_ms: int) -> Summary:
    """Make the summary: read the whole journal, replay it, and compare it with what the simulated devices sent and
    show. ``end_ms``: hall time of the end. Durations are in hall seconds.
    """
    tail = Tail(journal)
    steps = tail.read()
    tail.close()
    tally = DemoTotals()
    for step in steps:
        tally.step(step)
    lost = inputs_lost(fakes, steps)
    wrong = outputs_wrong(config, fakes, journal, end_ms, settings.speed)
    replayed = replay(journal)
    notes = tally.notes
    summary = Summary(
        seed=settings.seed,
        virtual_s=round(end_ms / 1000),
        tickets_issued=notes["ticket.issued"],
        tickets_served=notes["ticket.finished"],
        tickets_waiting=tally.waiting,
        no_shows=notes["ticket.no_show"],
        tidal_activations=notes["tidal.opened"],
        unanswered=notes["tidal.unanswered"],
        to_staffed_s={"p50": quantile(tally.to_staffed_s, 0.5), "p90": quantile(tally.to_staffed_s, 0.9)},
        wait_s={
            "mean": mean(tally.waits_s),
            "p50": quantile(tally.waits_s, 0.5),
            "p90": quantile(tally.waits_s, 0.9),
        },
        **story_of(tally),
        frames=fakes.frames(),
        journal_steps=len(steps),
        replay_identical=replayed.identical,
        inputs_lost=len(lost),
        outputs_wrong=len(wrong),
    )
    difference = [] if replayed.first_difference is None else [f"replay: {replayed.first_difference}"]
    silent = [f"no answer to the key {key}" for key in tally.unanswered]
    summary.complaints = [*lost, *wrong, *silent, *difference]
    return summary
