-- Forget the rows of limits' names under which nothing runs and whose rate has room again: a key of
-- each customer, order or day would leave one for ever, with the slots that were its last.
--
-- Safe while workers of the release before run: they claim as before.
--
-- A claim locks the rows of its names, and would hold nothing if one went between its INSERT and its
-- FOR UPDATE. So nothing is removed while a claim is under way: each holds ROW EXCLUSIVE on
-- limit_states until its commit, which SHARE ROW EXCLUSIVE waits for; and what is looked at once that
-- is held is younger than all of them. Claims wait for the few milliseconds of one batch. Where the
-- lock is not to be had soon, another time will do.
CREATE FUNCTION {schema}.prune_limits(by_epoch bigint, at_most integer) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET lock_timeout = '100ms'
SET search_path = pg_catalog, pg_temp
AS $body$
#variable_conflict use_column
DECLARE
    stale text[];
    removed bigint;
BEGIN
    PERFORM FROM {schema}.leadership AS l WHERE l.epoch = by_epoch AND l.holder IS NOT NULL;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    stale := ARRAY(
        SELECT s.name
        FROM {schema}.limit_states AS s
        WHERE coalesce(s.used_until < now(), true)
            AND {schema}.live_slots(s.name) = 0
        LIMIT at_most
    );
    IF stale = '{}' THEN
        RETURN 0;
    END IF;
    LOCK TABLE {schema}.limit_states IN SHARE ROW EXCLUSIVE MODE;
    DELETE FROM {schema}.limit_slots AS s
    WHERE s.name = ANY (stale)
        AND NOT EXISTS (
            SELECT
            FROM {schema}.executions AS x
            WHERE x.id = s.execution_id
                AND x.status = 'running'
                AND x.attempt = s.attempt
        );
    DELETE FROM {schema}.limit_states AS s
    WHERE s.name = ANY (stale)
        AND coalesce(s.used_until < now(), true)
        AND NOT EXISTS (SELECT FROM {schema}.limit_slots AS t WHERE t.name = s.name);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
EXCEPTION
    WHEN lock_not_available THEN
        RETURN 0;
END
$body$;

-- A limited claim spent most of its time in planning: limits_on anew for each execution, because a
-- function with a search path of its own is not planned with the statement that calls it, and all its
-- statements anew for each claim. They are planned once a session now, and for ids by an index whatever
-- the tables' sizes were then: the plan is kept while they grow.
ALTER FUNCTION {schema}.limits_on(text, text, jsonb) RESET ALL;
ALTER FUNCTION {schema}.claim_limited(uuid, uuid, uuid[], boolean)
SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION {schema}.claim_limited(uuid, uuid, uuid[], boolean) SET enable_seqscan = off;
