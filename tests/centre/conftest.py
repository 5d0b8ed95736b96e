"""One PostgreSQL for all tests of the centre that leave it running; each gets an empty database."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from tests.support.postgres import Postgres, real_postgres

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Postgres]:
    with real_postgres() as server:
        yield server


@pytest.fixture
def dsn(cluster: Postgres) -> str:
    name = f"city{next(_numbers)}"
    with psycopg.connect(cluster.dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return cluster.dsn.replace("dbname=postgres", f"dbname={name}")
