-- Move ids from a worker's hand to where they wait for a limit, off their lists.
--
-- KEYS[1] set     butler:hand:<worker>
-- KEYS[2] zset    butler:park:<park>        members "<id> <list>", by rank of priority, then by id
-- KEYS[3] zset    butler:parks              names of parks that hold something, by when to look
-- ARGV[1] name of the park, [2] unix time at which it is worth a look, or +inf, then two an id:
-- rank, member. Only ids that are still in the hand move.

local moved = 0
for i = 3, #ARGV, 2 do
  local member = ARGV[i + 1]
  if redis.call('SREM', KEYS[1], string.sub(member, 1, 36)) == 1 then
    redis.call('ZADD', KEYS[2], ARGV[i], member)
    moved = moved + 1
  end
end
if moved > 0 then redis.call('ZADD', KEYS[3], 'LT', ARGV[2], ARGV[1]) end
return moved
