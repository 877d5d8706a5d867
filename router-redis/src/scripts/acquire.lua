-- Takes a node's lease with a new incarnation, if it is free or held by exactly the named dead holder.
-- KEYS: 1 lease, 2 life. ARGV: 1 holder, 2 dead holder or '', 3 lease's ms to live, 4 life's ms to live.
-- Returns {1, incarnation} or {0, holder}.
-- The incarnation is at least the server's time in microseconds: should the count be lost with its
-- data, the next life still gets a greater one than any message of a former life can carry.
-- (Below 2^53, and so exact in Lua, until the year 2255.)
local held = redis.call('HGET', KEYS[1], 'holder')
if held and held ~= ARGV[2] then
  return {0, held}
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local life = string.format('%.0f', math.max(last + 1, now))
redis.call('SET', KEYS[2], life, 'PX', ARGV[4])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'life', life)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {1, life}
