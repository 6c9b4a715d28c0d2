-- Put what comes next of what waits its turn at the end of its list, for those who take it from there.
--
-- include turns
--
-- KEYS[1] list    rq:queue:<list>
-- KEYS[2] zset    butler:turns:<list>       see turns.lua
-- KEYS[3] zset    butler:waiting:<list>
-- ARGV[1] how many at most, or 0 for one, and none where something lies there already.
-- Returns how many were put there at least.

local wanted = tonumber(ARGV[1])
if wanted == 0 then
  lay(KEYS[1], KEYS[2], KEYS[3])
  return 0
end
local ids = draw(KEYS[2], KEYS[3], wanted)
if #ids > 0 then redis.call('RPUSH', KEYS[1], unpack(ids)) end
return #ids
