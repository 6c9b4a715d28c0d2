"""Each chaos test gets servers of its own and a ledger that counts how often things ended."""

import psycopg
import pytest
from fleet import Fleet

from butler import Butler
from butler.storage.migrate import migrate

AUDIT = """
CREATE TABLE public.endings (execution_id uuid, status text);
CREATE FUNCTION public.note_ending() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.endings VALUES (NEW.id, NEW.status);
  RETURN NEW;
END $$;
CREATE TRIGGER note_ending AFTER UPDATE ON butler.executions FOR EACH ROW
  WHEN (OLD.status IS DISTINCT FROM NEW.status
        AND NEW.status IN ('succeeded', 'failed', 'cancelled'))
  EXECUTE FUNCTION public.note_ending();
"""


@pytest.fixture
def ledger(own_services):
    """A migrated ledger of this test's own; writes each ending into ``public.endings`` too."""
    migrate(own_services.database_url)
    with psycopg.connect(own_services.database_url, autocommit=True) as connection:
        connection.execute(AUDIT)
    return own_services


@pytest.fixture
def butler(ledger):
    with Butler(ledger.redis_url, ledger.database_url) as butler:
        from fleet_app import awork, endless, endless_thread, work

        for task in (work, awork, endless, endless_thread):
            butler.register(task)
        yield butler


@pytest.fixture
def fleet(ledger, tmp_path):
    fleet = Fleet(redis_url=ledger.redis_url, database_url=ledger.database_url, folder=tmp_path)
    yield fleet
    fleet.end()


@pytest.fixture
def endings(ledger):
    """How often each execution ended, by id."""

    def count():
        with psycopg.connect(ledger.database_url) as connection:
            rows = connection.execute(
                "SELECT execution_id::text, count(*) FROM public.endings GROUP BY 1"
            )
            return dict(rows.fetchall())

    return count
