-- Notes that a life has members on a channel, unless it is sealed.
-- KEYS: 1 the node's last sealed life, 2 the life's notes. ARGV: 1 life, 2 serial, 3 channel.
-- Returns 1, or 0 if it is sealed.
local sealed = redis.call('GET', KEYS[1])
if sealed and tonumber(sealed) >= tonumber(ARGV[1]) then
  return 0
end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[3])
return 1
