-- Appends to a node's stream, if a lease of the node is live and the stream is below its bound.
-- KEYS: 1 lease, 2 stream. ARGV: 1 frame, 2 bound, 3 the stream's ms to live, 4 the node's channel.
-- Returns {1, incarnation}, {0, 'gone'} or {0, 'full'}.
local life = redis.call('HGET', KEYS[1], 'life')
if not life then
  return {0, 'gone'}
end
if redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[2]) then
  return {0, 'full'}
end
redis.call('XADD', KEYS[2], '*', 'life', life, 'frame', ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
-- The wake-up may be lost, so a user without the right to publish must not fail what is stored.
redis.pcall('PUBLISH', ARGV[4], '')
return {1, life}
