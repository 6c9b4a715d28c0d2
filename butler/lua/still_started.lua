-- Show executions that run in plain RQ workers as started, where a push or RQ's maintenance has
-- shown them otherwise; their wip and execution entries are RQ's business.
--
-- Two keys an execution:
-- KEYS      hash  rq:job:<id>
--           zset  rq:failed:<list>          where RQ's maintenance may have put it
-- ARGV[1] name of RQ's worker, then three an execution: id, attempt, started at (RQ's format).
-- Nothing is written for an id whose hash is gone, is over, or has been given to a newer attempt.

for i = 0, #KEYS / 2 - 1 do
  local job, failed = KEYS[1 + i * 2], KEYS[2 + i * 2]
  local id, attempt, started = ARGV[2 + i * 3], ARGV[3 + i * 3], ARGV[4 + i * 3]
  local known = redis.call('HGET', job, 'attempt')
  if known and tonumber(known) < tonumber(attempt) then
    redis.call('HSET', job, 'status', 'started', 'worker_name', ARGV[1], 'started_at', started)
    redis.call('PERSIST', job)
    redis.call('ZREM', failed, id)
  end
end
