-- Seals a life, if it does not hold its node's lease: it notes nothing any more.
-- KEYS: 1 lease, 2 the node's last sealed life. ARGV: 1 life, 2 the seal's ms to live.
-- Returns 1, or 0 if it lives.
if redis.call('HGET', KEYS[1], 'life') == ARGV[1] then
  return 0
end
local sealed = redis.call('GET', KEYS[2])
local last = sealed and tonumber(sealed) > tonumber(ARGV[1]) and sealed or ARGV[1]
redis.call('SET', KEYS[2], last, 'PX', ARGV[2])
return 1
