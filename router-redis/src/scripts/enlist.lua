-- Puts a node into its namespace's list, and drops those that were not put there for a day.
-- KEYS: 1 list. ARGV: 1 node id, 2 the list's ms to live.
-- The list is a hint: whoever reads it looks at each node's lease.
local time = redis.call('TIME')
local now = tonumber(time[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 86400)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
