-- Take waiting executions off one list: they were cancelled, or deleted from the ledger.
--
-- KEYS[1] list    rq:queue:<list>
-- KEYS[2] zset    rq:finished:<list>
-- KEYS[3] zset    rq:failed:<list>
-- KEYS[4] zset    rq:canceled:<list>
-- KEYS[5..] hash  rq:job:<id>
-- ARGV[1] 'canceled' or 'deleted', [2] time in RQ's format, [3] unix time, [4] seconds a canceled
-- hash lives, then the ids. Each is published on butler:execution:<id>, for whoever waits.

for i = 5, #KEYS do
  local id = ARGV[i]
  redis.call('LREM', KEYS[1], 1, id)
  redis.pcall('PUBLISH', 'butler:execution:' .. id, '{"kind":"state","over":true}')
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZREM', KEYS[3], id)
  if ARGV[1] == 'deleted' then
    redis.call('DEL', KEYS[i])
    redis.call('ZREM', KEYS[4], id)
  elseif redis.call('EXISTS', KEYS[i]) == 1 then
    redis.call('HSET', KEYS[i], 'status', 'canceled', 'ended_at', ARGV[2])
    redis.call('EXPIRE', KEYS[i], ARGV[4])
    redis.call('ZADD', KEYS[4], ARGV[3] + ARGV[4], id)
  end
end
return #KEYS - 4
