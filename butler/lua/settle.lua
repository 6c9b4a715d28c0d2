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
-- ARGV[6] seconds a failed one lives, [7] finished ids kept a list, [8] how many details follow,
-- then "attempt status" for each id, or once where it is the same for all, then two a results
-- stream: which of the n it is for, and the error as RQ packs it ('' to forget one that a later
-- attempt has overcome). An id is the end of its key.
-- Returns finished ids beyond the number kept; the caller removes their hashes with its next call,
-- because a script may only touch keys it was given. Plain RQ jobs share these registries: only
-- ids that live no longer than ours are counted, only hashes that carry a ledger are removed.
-- A list that is full shows only the newest tenth of a batch, and forgets the others at once: under
-- load they would be gone before anybody could look.
-- Each end is published on butler:execution:<id>, whatever Redis knows of it: the ledger has it.
-- Does nothing else for an id whose hash is gone or has been given to a newer attempt: a late word
-- must not make a queued id look finished, nor leave a hash that nothing can read.

local n, m, now, said = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4]), tonumber(ARGV[8])
local ids, gone, good, bad, shown = {}, {}, 0, 0, {}
local into = {finished = {}, failed = {}, canceled = {}}
local out_of = {finished = {}, failed = {}, canceled = {}}
local word = {scheduled = '{"kind":"state","over":false}'}
local last = now + ARGV[5]
local room = tonumber(ARGV[7]) - redis.call('ZCOUNT', KEYS[3], '-inf', last)
local hidden = n - math.max(room, math.ceil(n / 10))
for j = 1, m do shown[tonumber(ARGV[7 + said + 2 * j])] = j end
local attempt, status
for i = 1, n do
  local key = KEYS[5 + i]
  local id = string.sub(key, -36)
  if i <= said then
    attempt, status = string.match(ARGV[8 + i], '^(%d+) (%a+)$')
    attempt = tonumber(attempt)
  end
  ids[i] = id
  -- A hint to whoever waits; a user who may not publish must not keep the rest from being done.
  redis.pcall('PUBLISH', 'butler:execution:' .. id, word[status] or '{"kind":"state","over":true}')
  local known = redis.call('HGET', key, 'attempt')
  if known and tonumber(known) < attempt then
    local set, ttl = into[status], ARGV[6]
    for name, leaving in pairs(out_of) do
      if name ~= status then leaving[#leaving + 1] = id end
    end
    if status == 'finished' then
      ttl = ARGV[5]
      good = good + 1
    elseif status ~= 'canceled' then
      bad = bad + 1
    end
    local j = shown[i]
    if status == 'finished' and i <= hidden and not j then
      set = nil
      gone[#gone + 1] = key
    else
      redis.call('HSET', key, 'status', status, 'attempt', attempt, 'ended_at', ARGV[3])
    end
    if set then
      redis.call('EXPIRE', key, ttl)
      set[#set + 1] = now + ttl
      set[#set + 1] = id
    end
    if j and set then
      local stream, err = KEYS[5 + n + j], ARGV[8 + said + 2 * j]
      redis.call('DEL', stream)
      if err ~= '' then
        -- 2 is RQ's number for a result that is a failure.
        redis.call('XADD', stream, '*', 'type', 2, 'worker_name', '', 'exc_string', err)
        redis.call('EXPIRE', stream, ttl)
      end
    end
  end
end
if #gone > 0 then redis.call('DEL', unpack(gone)) end
if n > 0 then redis.call('SREM', KEYS[1], unpack(ids)) end
for i, name in ipairs({'finished', 'failed', 'canceled'}) do
  -- RQ's maintenance may have put an id where it does not belong.
  if #out_of[name] > 0 and redis.call('EXISTS', KEYS[2 + i]) == 1 then
    redis.call('ZREM', KEYS[2 + i], unpack(out_of[name]))
  end
  if #into[name] > 0 then redis.call('ZADD', KEYS[2 + i], unpack(into[name])) end
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  if good > 0 then redis.call('HINCRBY', KEYS[2], 'successful_job_count', good) end
  if bad > 0 then redis.call('HINCRBY', KEYS[2], 'failed_job_count', bad) end
end
for i = 6 + n + m, #KEYS do
  if redis.call('HEXISTS', KEYS[i], 'ledger') == 1 then redis.call('DEL', KEYS[i]) end
end
local over = redis.call('ZCOUNT', KEYS[3], '-inf', last) - tonumber(ARGV[7])
if over > 0 then
  local doomed = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', last, 'LIMIT', 0, math.min(over, 1000))
  redis.call('ZREM', KEYS[3], unpack(doomed))
  return doomed
end
return {}
