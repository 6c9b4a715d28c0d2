-- Several executions and their attempts, as get reads one.
SELECT
    e.id::text, e.task, e.status, e.queue, e.priority, e.request, e.result, e.error, e.attempt,
    e.uncounted, e.max_attempts, e.crashes, e.timeout_s, e.progress, e.progress_message, e.tags,
    e.user_id, e.unique_key, e.parent_id::text, e.rerun_of::text, e.worker_id::text,
    e.cancel_requested_at, e.run_at, e.created_at, e.queued_at, e.started_at, e.finished_at,
    e.expires_at, e.reason,
    (
        SELECT jsonb_agg(
            jsonb_build_array(
                a.attempt, a.outcome, a.counted, a.worker_id, a.started_at, a.finished_at, a.error
            )
            ORDER BY a.attempt
        )
        FROM {schema}.execution_attempts AS a
        WHERE a.execution_id = e.id
    )
FROM {schema}.executions AS e
WHERE e.id = ANY (%(ids)s::uuid[])
