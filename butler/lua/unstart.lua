-- Show a job as the ledger has it, where RQ took it for started and it is not.
--
-- KEYS[1] hash    rq:job:<id>
-- ARGV[1] status in RQ's words, [2] seconds the hash lives from now, 0: as long as it is needed.
-- Does nothing when the hash has been pushed anew meanwhile.

if redis.call('HGET', KEYS[1], 'status') ~= 'started' then return 0 end
redis.call('HSET', KEYS[1], 'status', ARGV[1])
if tonumber(ARGV[2]) > 0 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return 1
