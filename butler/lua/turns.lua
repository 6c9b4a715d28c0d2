-- Turns: included in the scripts that add to what waits its turn, or take from it. No script itself.
--
-- zset    butler:turns:<list>      fair keys of which something waits, by their turn
-- zset    butler:waiting:<list>    members "<fair key>\0<id>", all with the same score: in the order
--                                  of keys, and of each key the eldest first
-- A key without anything waiting (it was cancelled) may have a turn; it is passed over and forgotten.

-- Let ids wait, each under its fair key ('' where it has none). A key that is new has its turn after
-- all others.
local function queue_up(turns, waiting, ids, fair_keys)
  local last = tonumber(redis.call('ZRANGE', turns, -1, -1, 'WITHSCORES')[2] or 0)
  local members, new, seen = {}, {}, {}
  for n, id in ipairs(ids) do
    local key = fair_keys[n] or ''
    members[#members + 1] = 0
    members[#members + 1] = key .. '\0' .. id
    if not seen[key] then
      seen[key] = true
      new[#new + 1] = last + n
      new[#new + 1] = key
    end
  end
  for first = 1, #members, 1000 do
    redis.call('ZADD', waiting, unpack(members, first, math.min(first + 999, #members)))
  end
  redis.call('ZADD', turns, 'NX', unpack(new))
end

-- Take up to wanted ids: one of each key whose turn it is, again and again.
local function draw(turns, waiting, wanted)
  local ids, call, sub = {}, redis.call, string.sub
  while #ids < wanted do
    local keys = call('ZPOPMIN', turns, wanted - #ids)
    local count = #keys / 2
    if count == 0 then break end
    local rounds = math.ceil((wanted - #ids) / count)
    local found, rounds_of, served_at, taken = {}, {}, {}, {}
    for k = 1, count do
      local key = keys[2 * k - 1]
      -- One more than is wanted tells whether the key has a next turn.
      found[k] = call('ZRANGEBYLEX', waiting, '[' .. key .. '\0', '(' .. key .. '\1',
        'LIMIT', 0, rounds + 1)
    end
    for round = 1, rounds do
      for k = 1, count do
        local member = found[k][round]
        if member and #ids < wanted then
          ids[#ids + 1] = sub(member, -36)
          taken[#taken + 1] = member
          rounds_of[k], served_at[k] = round, #ids
        end
      end
    end
    if #taken > 0 then call('ZREM', waiting, unpack(taken)) end
    local again = {}
    for k = 1, count do
      if rounds_of[k] and #found[k] > rounds_of[k] then again[#again + 1] = k end
    end
    if #again > 0 then
      -- Who was served last comes last; in a single round they are in that order already.
      if rounds > 1 then
        table.sort(again, function(a, b) return served_at[a] < served_at[b] end)
      end
      local last = tonumber(call('ZRANGE', turns, -1, -1, 'WITHSCORES')[2] or 0)
      local next_turns = {}
      for n, k in ipairs(again) do
        next_turns[2 * n - 1], next_turns[2 * n] = last + n, keys[2 * k - 1]
      end
      call('ZADD', turns, unpack(next_turns))
    end
  end
  return ids
end

-- A list does not stand empty while something waits its turn: what comes next lies on it, for RQ's
-- tools to show and for plain RQ workers to take.
local function lay(list, turns, waiting)
  if redis.call('EXISTS', list) == 0 then
    local ids = draw(turns, waiting, 1)
    if ids[1] then redis.call('RPUSH', list, ids[1]) end
  end
end
