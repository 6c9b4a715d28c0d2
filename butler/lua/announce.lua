-- Show attempts that have run for a while as RQ shows running jobs, or renew that.
--
-- KEYS[1] hash    rq:worker:<worker>              (for its state)
-- KEYS[2] set     rq:worker:<worker>:executions
-- then five an attempt:
--         hash    rq:job:<id>
--         zset    rq:wip:<list>                   member id:attempt, by expiry
--         zset    rq:failed:<list>                where RQ's maintenance may have put it
--         hash    rq:execution:<id>:<attempt>
--         zset    rq:executions:<id>              member attempt, by expiry
-- ARGV[1] worker name, [2] time in RQ's format, [3] unix time, [4] seconds until the next word must
-- have come, then three an attempt: id, attempt, started at (RQ's format).
-- Each is published on butler:execution:<id>, for whoever waits.
-- Nothing is written for an id whose hash is gone, is over, or has been given to a newer attempt.

local now, ttl, shown = tonumber(ARGV[3]), tonumber(ARGV[4]), 0
for i = 0, (#ARGV - 4) / 3 - 1 do
  local id, attempt, started = ARGV[5 + i * 3], ARGV[6 + i * 3], ARGV[7 + i * 3]
  local at = 3 + i * 5
  local job, wip, failed, execution, executions =
    KEYS[at], KEYS[at + 1], KEYS[at + 2], KEYS[at + 3], KEYS[at + 4]
  local known = redis.call('HGET', job, 'attempt')
  if known and tonumber(known) < tonumber(attempt) then
    redis.call('HSET', job, 'status', 'started', 'worker_name', ARGV[1], 'started_at', started,
      'last_heartbeat', ARGV[2])
    redis.call('PERSIST', job)
    redis.call('ZADD', wip, now + ttl, id .. ':' .. attempt)
    redis.call('ZREM', failed, id)
    redis.call('HSET', execution, 'id', attempt, 'job_id', id, 'worker_name', ARGV[1],
      'created_at', now, 'last_heartbeat', now)
    redis.call('EXPIRE', execution, ttl)
    redis.call('ZADD', executions, now + ttl, attempt)
    redis.call('EXPIRE', executions, ttl)
    redis.call('SADD', KEYS[2], id .. ':' .. attempt)
    redis.pcall('PUBLISH', 'butler:execution:' .. id, '{"kind":"state","over":false}')
    shown = shown + 1
  end
end
if shown > 0 then redis.call('EXPIRE', KEYS[2], ttl + 60) end
return shown
