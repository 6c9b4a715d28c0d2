-- Put executions on one RQ list, with the hashes that RQ's own tools read. Those with a fair key wait
-- their turn beside it, and, as long as any do, all others with them. One that is pushed alone where
-- nothing waits goes into the hand of a worker that sits idle, if there is one: see pop.lua.
--
-- include turns
--
-- KEYS[1] set     rq:queues                 all lists RQ knows
-- KEYS[2] list    rq:queue:<list>           where the ids go
-- KEYS[3] list    butler:wake:<queue>       content-free tokens, one idle worker takes one
-- KEYS[4] string  butler:ledger:<queue>     id of the ledger whose executions these are
-- KEYS[5] set     butler:hand:<worker>      the hand they come from (a name nobody uses: none)
-- KEYS[6] zset    rq:wip:<list>             the registries an id may have been in before
-- KEYS[7] zset    rq:finished:<list>
-- KEYS[8] zset    rq:failed:<list>
-- KEYS[9] zset    rq:canceled:<list>
-- KEYS[10] zset   butler:turns:<list>       see turns.lua
-- KEYS[11] zset   butler:waiting:<list>
-- KEYS[12] zset   butler:seats:<queue>      workers that found nothing, by when
-- KEYS[13] set    butler:paused             queues of which nothing is handed out
-- KEYS[14] string rq:suspended              while it exists, nothing is
-- KEYS[15..] hash rq:job:<id>               one a pushed id
-- Only here it is seen who gets an offer: the worker's seat, offer, call and hand are no KEYS.
-- ARGV[1] list name, [2] ledger id, [3] time in RQ's format, [4] and [5] the pickle around the id,
-- ARGV[6] most tokens the wake list keeps, [7] seconds a failed hash lives, which RQ obeys where it
-- is RQ that calls a job failed, [8] how many fair keys follow: none, one for all, or one each ('' for
-- an id that has none), then those, then "attempt timeout created_at task" for each id, or once where
-- it is the same for all. The id is the end of its key.
-- Each push is published on butler:execution:<id>, for whoever waits.
-- Returns how many were pushed. An id whose hash speaks of a newer attempt is left alone.

local function offer(id)
  if redis.call('EXISTS', KEYS[12]) == 0 or redis.call('EXISTS', KEYS[2], KEYS[10], KEYS[14]) > 0
    or redis.call('SISMEMBER', KEYS[13], string.match(KEYS[3], ':wake:(.*)$')) == 1 then
    return false
  end
  local ours = string.match(KEYS[12], '^(.-)seats:')
  while true do
    local worker = redis.call('ZPOPMAX', KEYS[12])[1]
    if not worker then return false end
    local token = redis.call('GET', ours .. 'seat:' .. worker)
    if token then
      local offered = token .. ' ' .. id .. ' ' .. KEYS[2]
      redis.call('DEL', ours .. 'seat:' .. worker)
      redis.call('SADD', ours .. 'hand:' .. worker, id)
      redis.call('SET', ours .. 'offer:' .. worker, offered)
      redis.call('RPUSH', ours .. 'call:' .. worker, offered)
      return true
    end
  end
end

local pushed, keyed, fair_keys = {}, tonumber(ARGV[8]), {}
local attempt, timeout, created_at, task
for i = 15, #KEYS do
  local id = string.sub(KEYS[i], -36)
  local details = ARGV[i - 6 + keyed]
  if details then
    attempt, timeout, created_at, task = string.match(details, '^(%d+) (%d+) (%S+) (.*)$')
    attempt = tonumber(attempt)
  end
  local known = redis.call('HGET', KEYS[i], 'attempt')
  if known and tonumber(known) > attempt then
    redis.call('SREM', KEYS[5], id)
  else
    if known then
      redis.call('DEL', KEYS[i])
      redis.call('ZREM', KEYS[6], id .. ':' .. attempt)
      redis.call('ZREM', KEYS[7], id)
      redis.call('ZREM', KEYS[8], id)
      redis.call('ZREM', KEYS[9], id)
      redis.call('SREM', KEYS[5], id)
    end
    redis.call('HSET', KEYS[i],
      'data', ARGV[4] .. id .. ARGV[5], 'status', 'queued', 'origin', ARGV[1],
      'description', task, 'created_at', created_at, 'enqueued_at', ARGV[3],
      'timeout', timeout, 'failure_ttl', ARGV[7], 'attempt', attempt, 'ledger', ARGV[2])
    pushed[#pushed + 1] = id
    if keyed > 0 then fair_keys[#pushed] = ARGV[keyed == 1 and 9 or i - 6] end
    redis.pcall('PUBLISH', 'butler:execution:' .. id, '{"kind":"state","over":false}')
  end
end
if #pushed > 0 then
  redis.call('SADD', KEYS[1], KEYS[2])
  redis.call('SET', KEYS[4], ARGV[2])
  if #pushed == 1 and offer(pushed[1]) then return 1 end
  if keyed > 0 or redis.call('EXISTS', KEYS[10]) == 1 then
    queue_up(KEYS[10], KEYS[11], pushed, fair_keys)
    lay(KEYS[2], KEYS[10], KEYS[11])
  else
    for first = 1, #pushed, 1000 do
      redis.call('RPUSH', KEYS[2], unpack(pushed, first, math.min(first + 999, #pushed)))
    end
  end
  for _ = 1, math.min(#pushed, tonumber(ARGV[6])) do
    redis.call('RPUSH', KEYS[3], '')
  end
  redis.call('LTRIM', KEYS[3], -tonumber(ARGV[6]), -1)
end
return #pushed
