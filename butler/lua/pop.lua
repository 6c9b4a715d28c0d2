-- Move the next ids of several lists, in the order given, into a worker's hand: what lies on a list,
-- then what waits its turn beside it.
--
-- include turns
--
-- KEYS[1] string  rq:suspended              while it exists, nothing is handed out
-- KEYS[2] set     butler:hand:<worker>      what this worker has popped and not yet settled
-- KEYS[3] string  butler:popped:<worker>    the last reply with its token
-- KEYS[4] set     butler:paused             queues that are paused: their lists are passed over
-- then three a list:
--         list    rq:queue:<list>
--         zset    butler:turns:<list>       see turns.lua
--         zset    butler:waiting:<list>
-- ARGV[1] token, [2] how many at most, [3] seconds the reply is remembered.
-- Returns one array of ids for each list. The same token again returns the same reply and moves
-- nothing: redis clients repeat a call whose answer was lost.

local last = redis.call('GET', KEYS[3])
if last and string.sub(last, 1, #ARGV[1]) == ARGV[1] then
  return cjson.decode(string.sub(last, #ARGV[1] + 1))
end
local reply, wanted, found = {}, tonumber(ARGV[2]), false
local suspended = redis.call('EXISTS', KEYS[1]) == 1
local paused = {}
for _, queue in ipairs(redis.call('SMEMBERS', KEYS[4])) do
  for _, suffix in ipairs({'', '.high', '.low'}) do paused[queue .. suffix] = true end
end
for i = 5, #KEYS, 3 do
  local ids = {}
  if wanted > 0 and not suspended and not paused[string.match(KEYS[i], '[^:]*$')] then
    ids = redis.call('LPOP', KEYS[i], wanted) or ids
    if redis.call('EXISTS', KEYS[i + 1]) == 1 then
      for _, id in ipairs(draw(KEYS[i + 1], KEYS[i + 2], wanted - #ids)) do ids[#ids + 1] = id end
      lay(KEYS[i], KEYS[i + 1], KEYS[i + 2])
    end
  end
  if #ids > 0 then
    redis.call('SADD', KEYS[2], unpack(ids))
    wanted = wanted - #ids
    found = true
  end
  reply[#reply + 1] = ids
end
if found then
  redis.call('SET', KEYS[3], ARGV[1] .. cjson.encode(reply), 'EX', ARGV[3])
end
return reply
