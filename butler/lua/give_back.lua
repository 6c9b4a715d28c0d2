-- Put ids of a hand back at the head of their list, in their old order.
--
-- KEYS[1] set     butler:hand:<worker>
-- KEYS[2] list    rq:queue:<list>
-- KEYS[3] list    butler:wake:<queue>
-- ARGV            ids, in the order they were popped
-- Only ids that are still in the hand move: giving back twice queues nothing twice.

local moved = 0
for i = #ARGV, 1, -1 do
  if redis.call('SREM', KEYS[1], ARGV[i]) == 1 then
    redis.call('LPUSH', KEYS[2], ARGV[i])
    moved = moved + 1
  end
end
if moved > 0 then redis.call('RPUSH', KEYS[3], '') end
return moved
