-- Take one plain RQ job off a list, to RQ's list of jobs between the queue and their start.
--
-- KEYS[1] list    rq:queue:<list>
-- KEYS[2] list    rq:queue:<list>:intermediate
-- KEYS[3] hash    rq:job:<id>
-- ARGV[1] id
-- Returns 1, or 0 when somebody else took it or it is no plain job.

if redis.call('HEXISTS', KEYS[3], 'ledger') == 1 then return 0 end
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[1])
return 1
