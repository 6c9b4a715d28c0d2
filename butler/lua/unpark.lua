-- Move ids from where they waited for a limit to the head of their list.
--
-- KEYS[1] zset    butler:park:<park>        members "<id> <list>"
-- KEYS[2] zset    butler:parks              names of parks that hold something
-- KEYS[3] list    rq:queue:<list>
-- KEYS[4] list    butler:wake:<queue>       a token for each id, one idle worker takes one
-- ARGV[1] name of the park, then members of that list in their order.
-- Only what is still parked moves: waking twice queues nothing twice.

local moved = 0
for i = #ARGV, 2, -1 do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
    redis.call('LPUSH', KEYS[3], string.sub(ARGV[i], 1, 36))
    redis.call('RPUSH', KEYS[4], '')
    moved = moved + 1
  end
end
redis.call('LTRIM', KEYS[4], -16, -1)
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('ZREM', KEYS[2], ARGV[1]) end
return moved
