-- Take waiting executions off one list: they were cancelled, or deleted from the ledger.
--
-- include turns
--
-- KEYS[1] list    rq:queue:<list>
-- KEYS[2] zset    rq:finished:<list>
-- KEYS[3] zset    rq:failed:<list>
-- KEYS[4] zset    rq:canceled:<list>
-- KEYS[5] zset    butler:turns:<list>       see turns.lua
-- KEYS[6] zset    butler:waiting:<list>
-- KEYS[7..] hash  rq:job:<id>
-- ARGV[1] 'canceled' or 'deleted', [2] time in RQ's format, [3] unix time, [4] seconds a canceled
-- hash lives, then "<fair key>\0<id>" for each hash. The id is the end of its key.
-- Each is published on butler:execution:<id>, for whoever waits.

local turns = redis.call('EXISTS', KEYS[5]) == 1
for i = 7, #KEYS do
  local id = string.sub(KEYS[i], -36)
  if not turns or redis.call('ZREM', KEYS[6], ARGV[i - 2]) == 0 then
    redis.call('LREM', KEYS[1], 1, id)
  end
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
if turns then
  if redis.call('EXISTS', KEYS[6]) == 0 then redis.call('DEL', KEYS[5]) end
  lay(KEYS[1], KEYS[5], KEYS[6])
end
return #KEYS - 6
