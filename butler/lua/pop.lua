-- Move the next ids of several lists, in the order given, into a worker's hand.
--
-- KEYS[1] string  rq:suspended              while it exists, nothing is handed out
-- KEYS[2] set     butler:hand:<worker>      what this worker has popped and not yet settled
-- KEYS[3] string  butler:popped:<worker>    the last reply with its token
-- KEYS[4] set     butler:paused             queues that are paused: their lists are passed over
-- KEYS[5..] list  rq:queue:<list>
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
for i = 5, #KEYS do
  local ids = false
  if wanted > 0 and not suspended and not paused[string.match(KEYS[i], '[^:]*$')] then
    ids = redis.call('LPOP', KEYS[i], wanted)
  end
  if ids and #ids > 0 then
    redis.call('SADD', KEYS[2], unpack(ids))
    wanted = wanted - #ids
    found = true
  end
  reply[#reply + 1] = ids or {}
end
if found then
  redis.call('SET', KEYS[3], ARGV[1] .. cjson.encode(reply), 'EX', ARGV[3])
end
return reply
