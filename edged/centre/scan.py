"""Searches all stored texts for identity and mobile numbers: halls send none, and this verifies it."""

from __future__ import annotations

from typing import Any

import psycopg

from edged import personal

FOUND_MAX = 100  # places listed at most
PAGE = 5_000

_TEXTS = {
    "events": "SELECT hall || '/' || epoch || '/' || seq, subject || ' ' || data::text FROM events",
    "pictures": "SELECT topic, payload::text FROM pictures",
    "rollouts": "SELECT rollout || ' ' || hall, reason FROM rollout_halls",
}


def personal_data(connection: psycopg.Connection[Any]) -> tuple[int, list[str]]:
    """How many texts were searched, and the places (table and row) of at most ``FOUND_MAX`` with an identity or mobile
    number. The numbers themselves are not returned.
    """
    looked, found = 0, list[str]()
    for table, query in _TEXTS.items():
        with connection.cursor(f"scan_{table}") as cursor:
            cursor.itersize = PAGE
            cursor.execute(query)
            for place, text in cursor:
                looked += 1
                if len(found) < FOUND_MAX and personal.names_a_person(text):
                    found.append(f"{table} {place}")
    return looked, found
