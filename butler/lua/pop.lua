-- Move the next ids of several lists, in the order given, into a worker's hand: what lies on a list,
-- then what waits its turn beside it. Where there is nothing the worker may sit down: then a push puts
-- its id straight into this hand and calls the worker, which needs no pop to know what to do.
--
-- include turns
--
-- KEYS[1] string  rq:suspended              while it exists, nothing is handed out
-- KEYS[2] set     butler:hand:<worker>      what this worker has popped and not yet settled
-- KEYS[3] string  butler:popped:<worker>    the last reply with its token
-- KEYS[4] set     butler:paused             queues that are paused: their lists are passed over
-- KEYS[5] string  butler:seat:<worker>      while it exists the worker waits, under this token
-- KEYS[6] string  butler:offer:<worker>     "<seat's token> <id> <list>", what it was given then
-- KEYS[7] list    butler:call:<worker>      the same, for the worker to be woken by
-- then three a list:
--         list    rq:queue:<list>
--         zset    butler:turns:<list>       see turns.lua
--         zset    butler:waiting:<list>
-- then one a queue:
--         zset    butler:seats:<queue>      workers that sit, by when they sat down (seconds)
-- ARGV[1] token, [2] how many at most, [3] seconds the reply is remembered, [4] token of the last
-- offer that arrived, [5] milliseconds the worker sits (0: it does not), [6] how many queues.
-- An offer that did not arrive, since the call was lost, lies on its list again before the pop.
-- Returns one array of ids for each list. The same token again returns the same reply and moves
-- nothing: redis clients repeat a call whose answer was lost.

local last = redis.call('GET', KEYS[3])
if last and string.sub(last, 1, #ARGV[1]) == ARGV[1] then
  return cjson.decode(string.sub(last, #ARGV[1] + 1))
end
local offered = redis.call('GET', KEYS[6])
redis.call('DEL', KEYS[5], KEYS[6], KEYS[7])
if offered then
  local seat, id, list = string.match(offered, '^(%S+) (%S+) (.*)$')
  if seat ~= ARGV[4] then
    -- The hand may have let go of it: an earlier attempt of the same id has been settled since.
    redis.call('SREM', KEYS[2], id)
    redis.call('LPUSH', list, id)
  end
end
local reply, wanted, found = {}, tonumber(ARGV[2]), false
local suspended = redis.call('EXISTS', KEYS[1]) == 1
local paused = {}
for _, queue in ipairs(redis.call('SMEMBERS', KEYS[4])) do
  for _, suffix in ipairs({'', '.high', '.low'}) do paused[queue .. suffix] = true end
end
local seats = #KEYS - tonumber(ARGV[6]) + 1
for i = 8, seats - 1, 3 do
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
local worker, sits = string.match(KEYS[5], '[^:]*$'), tonumber(ARGV[5])
local now = tonumber(redis.call('TIME')[1])
if sits > 0 and not found then redis.call('SET', KEYS[5], ARGV[1], 'PX', sits) end
for i = seats, #KEYS do
  if sits == 0 then
    redis.call('ZREM', KEYS[i], worker)
  elseif not found then
    redis.call('ZADD', KEYS[i], now, worker)
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - 60)
    redis.call('EXPIRE', KEYS[i], 60)
  end
end
return reply
