-- Which queued executions does the wire know nothing of? (The cheap check: hashes only.)
--
-- KEYS    hash rq:job:<id>, one an execution that the ledger says is queued
-- Returns the positions (from 1) of those whose hash is missing, says something else than queued,
-- or will expire: nobody can be holding these.

local missing = {}
for i = 1, #KEYS do
  local status = redis.call('HGET', KEYS[i], 'status')
  if status ~= 'queued' or redis.call('TTL', KEYS[i]) ~= -1 then
    missing[#missing + 1] = i
  end
end
return missing
