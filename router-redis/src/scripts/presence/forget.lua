-- Takes a note back, if it is exactly this one.
-- KEYS: 1 the life's notes. ARGV: 1 channel, 2 serial. Returns how many were taken back.
local serial = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not serial or tonumber(serial) ~= tonumber(ARGV[2]) then
  return 0
end
return redis.call('ZREM', KEYS[1], ARGV[1])
