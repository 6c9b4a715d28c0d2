"""What the tests of transactions share."""

from __future__ import annotations

import psycopg

from butler.executions import ExecutionStatus

S = ExecutionStatus
ACTIVE = psycopg.pq.TransactionStatus.ACTIVE


def insert_order(connection, n=1):
    connection.execute("INSERT INTO orders VALUES (%s)", (n,))


def _outcome(handle):
    try:
        return handle.result(timeout_s=25)
    except Exception as error:
        return type(error).__name__


def _impatient(butler):
    return butler.settings.model_copy(update={"unique_wait_s": 0.1})
