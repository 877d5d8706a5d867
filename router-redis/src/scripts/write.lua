-- Writes a record if its version is the expected one.
-- KEYS: 1 record. ARGV: 1 expected version or '' for none, 2 body, 3 ms to live.
-- Returns the new version, or nil on a conflict.
-- The first version is the server's time in microseconds, so that a record that was removed and made
-- anew does not meet a writer who holds a version of the former one. (Below 2^53 until the year 2255.)
local version = redis.call('HGET', KEYS[1], 'version')
if (version or '') ~= ARGV[1] then
  return false
end
local next
if version then
  next = tonumber(version) + 1
else
  local time = redis.call('TIME')
  next = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
next = string.format('%.0f', next)
redis.call('HSET', KEYS[1], 'version', next, 'body', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return next
