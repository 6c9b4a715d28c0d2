-- Record on the wire how attempts of one list ended: finished, failed, canceled or scheduled.
--
-- KEYS[1] set     butler:hand:<worker>
-- KEYS[2] hash    rq:worker:<worker>        its counters, if it is registered
-- KEYS[3] zset    rq:finished:<list>        by expiry
-- KEYS[4] zset    rq:failed:<list>
-- KEYS[5] zset    rq:canceled:<list>
-- KEYS[6..5+n] hash  rq:job:<id>            the n that ended
-- KEYS[6+n..5+n+m] stream  rq:results:<id>  where an error is shown, or an old one forgotten
-- KEYS[6+n+m..] hash rq:job:<id>            hashes of finished ids that are one too many: removed
-- ARGV[1] n, [2] m, [3] time in RQ's format, [4] unix time, [5] seconds a finished hash lives,
-- ARGV[6] seconds a failed one lives, [7] finished ids kept a list, then five an id: id, attempt,
-- status, error as RQ packs it ('' for none), position of its results stream in KEYS (0 for none).
-- Returns finished ids beyond the number kept; the caller removes their hashes with its next call,
-- because a script may only touch keys it was given. Plain RQ jobs share these registries: only
-- ids that live no longer than ours are counted, only hashes that carry a ledger are removed.
-- Each end is published on butler:execution:<id>, whatever Redis knows of it: the ledger has it.
-- Does nothing else for an id whose hash is gone or has been given to a newer attempt: a late word
-- must not make a queued id look finished, nor leave a hash that nothing can read.

local n, m, now = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
local ids, ended, good, bad = {}, {}, 0, 0
local into = {finished = {}, failed = {}, canceled = {}}
local word = {scheduled = '{"kind":"state","over":false}'}
for i = 1, n do
  local key, at = KEYS[5 + i], 8 + (i - 1) * 5
  local id, attempt, status = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2]
  local err, results = ARGV[at + 3], tonumber(ARGV[at + 4])
  ids[i] = id
  -- A hint to whoever waits; a user who may not publish must not keep the rest from being done.
  redis.pcall('PUBLISH', 'butler:execution:' .. id, word[status] or '{"kind":"state","over":true}')
  local known = redis.call('HGET', key, 'attempt')
  if known and tonumber(known) < attempt then
    ended[#ended + 1] = id
    redis.call('HSET', key, 'status', status, 'attempt', attempt, 'ended_at', ARGV[3])
    local set, ttl = into[status], ARGV[6]
    if status == 'finished' then
      ttl = ARGV[5]
      good = good + 1
      if results > 0 then redis.call('DEL', KEYS[results]) end
    elseif status ~= 'canceled' then
      bad = bad + 1
    end
    if set then
      redis.call('EXPIRE', key, ttl)
      set[#set + 1] = now + ttl
      set[#set + 1] = id
      if err ~= '' then
        -- 2 is RQ's number for a result that is a failure.
        redis.call('XADD', KEYS[results], 'MAXLEN', 10, '*',
          'type', 2, 'worker_name', '', 'exc_string', err)
        redis.call('EXPIRE', KEYS[results], ttl)
      end
    end
  end
end
if n > 0 then redis.call('SREM', KEYS[1], unpack(ids)) end
for i, name in ipairs({'finished', 'failed', 'canceled'}) do
  -- RQ's maintenance may have put an id where it does not belong.
  if #ended > 0 then redis.call('ZREM', KEYS[2 + i], unpack(ended)) end
  if #into[name] > 0 then redis.call('ZADD', KEYS[2 + i], unpack(into[name])) end
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  if good > 0 then redis.call('HINCRBY', KEYS[2], 'successful_job_count', good) end
  if bad > 0 then redis.call('HINCRBY', KEYS[2], 'failed_job_count', bad) end
end
for i = 6 + n + m, #KEYS do
  if redis.call('HEXISTS', KEYS[i], 'ledger') == 1 then redis.call('DEL', KEYS[i]) end
end
local last = now + ARGV[5]
local over = redis.call('ZCOUNT', KEYS[3], '-inf', last) - tonumber(ARGV[7])
if over > 0 then
  local doomed = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', last, 'LIMIT', 0, math.min(over, 1000))
  redis.call('ZREM', KEYS[3], unpack(doomed))
  return doomed
end
return {}
