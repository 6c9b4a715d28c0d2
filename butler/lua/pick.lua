-- Take given ids off a list, wherever they stand in it, into a worker's hand.
--
-- KEYS[1] string  rq:suspended              while it exists, nothing is handed out
-- KEYS[2] set     butler:hand:<worker>
-- KEYS[3] list    rq:queue:<list>
-- ARGV[1] 1 to look for them from the head, -1 from the tail, then the ids
-- Returns those that are in the hand now, so that a repeat after a lost answer returns the same.

local taken = {}
if redis.call('EXISTS', KEYS[1]) == 1 then return taken end
for i = 2, #ARGV do
  local id = ARGV[i]
  if redis.call('LREM', KEYS[3], ARGV[1], id) > 0 then redis.call('SADD', KEYS[2], id) end
  if redis.call('SISMEMBER', KEYS[2], id) == 1 then taken[#taken + 1] = id end
end
return taken
