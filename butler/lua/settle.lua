-- Record on the wire how attempts of one list ended: finished, failed, canceled or scheduled.
--
-- KEYS[1] set     butler:hand:<worker>
-- KEYS[2] hash    rq:worker:<worker>        its counters, if it is registered
-- KEYS[3] zset    rq:finished:<list>        by expiry
-- KEYS[4] zset    rq:failed:<list>
-- KEYS[5] zset    rq:canceled:<list>
-- KEYS[6..5+n] hash  rq:job:<id>            the n that ended
-- KEYS[6+n..] hash   rq:job:<id>            hashes of finished ids that are one too many: removed
-- ARGV[1] n, [2] time in RQ's format, [3] unix time, [4] seconds a finished hash lives,
-- ARGV[5] seconds a failed one lives, [6] finished ids kept a list, then four an id: id, attempt,
-- status, error text. Returns finished ids beyond the number kept; the caller removes their hashes
-- with its next call, because a script may only touch keys it was given.
-- Each end is published on butler:execution:<id>, whatever Redis knows of it: the ledger has it.
-- Does nothing else for an id whose hash is gone or has been given to a newer attempt: a late word
-- must not make a queued id look finished, nor leave a hash that nothing can read.

local n, now = tonumber(ARGV[1]), tonumber(ARGV[3])
local finished, failed, canceled, ids, good, bad = {}, {}, {}, {}, 0, 0
local word = {scheduled = '{"kind":"state","over":false}'}
for i = 1, n do
  local key, at = KEYS[5 + i], 7 + (i - 1) * 4
  local id, attempt, status = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  ids[i] = id
  -- A hint to whoever waits; a user who may not publish must not keep the rest from being done.
  redis.pcall('PUBLISH', 'butler:execution:' .. id, word[status] or '{"kind":"state","over":true}')
  local known = redis.call('HGET', key, 'attempt')
  if known and tonumber(known) < attempt then
    redis.call('HSET', key, 'status', status, 'attempt', attempt, 'ended_at', ARGV[2])
    if status == 'finished' then
      redis.call('EXPIRE', key, ARGV[4])
      finished[#finished + 1] = now + ARGV[4]
      finished[#finished + 1] = id
      good = good + 1
    elseif status == 'scheduled' then
      bad = bad + 1
    else
      local set = failed
      if status == 'canceled' then set = canceled else bad = bad + 1 end
      if ARGV[at + 3] ~= '' then redis.call('HSET', key, 'exc_info', ARGV[at + 3]) end
      redis.call('EXPIRE', key, ARGV[5])
      set[#set + 1] = now + ARGV[5]
      set[#set + 1] = id
    end
  end
end
if n > 0 then redis.call('SREM', KEYS[1], unpack(ids)) end
if #finished > 0 then redis.call('ZADD', KEYS[3], unpack(finished)) end
if #failed > 0 then redis.call('ZADD', KEYS[4], unpack(failed)) end
if #canceled > 0 then redis.call('ZADD', KEYS[5], unpack(canceled)) end
if redis.call('EXISTS', KEYS[2]) == 1 then
  if good > 0 then redis.call('HINCRBY', KEYS[2], 'successful_job_count', good) end
  if bad > 0 then redis.call('HINCRBY', KEYS[2], 'failed_job_count', bad) end
end
for i = 6 + n, #KEYS do redis.call('DEL', KEYS[i]) end
local over = redis.call('ZCARD', KEYS[3]) - tonumber(ARGV[6])
if over > 0 then
  local doomed = redis.call('ZRANGE', KEYS[3], 0, over - 1)
  redis.call('ZREMRANGEBYRANK', KEYS[3], 0, over - 1)
  return doomed
end
return {}
