-- Forgets a node's entries below an id and gives the next ones, if the lease is still this life's.
-- KEYS: 1 lease, 2 stream. ARGV: 1 incarnation, 2 first id to keep or '', 3 most entries, 4 the
-- stream's ms to live. Returns the entries, or nil when the lease is lost.
if redis.call('HGET', KEYS[1], 'life') ~= ARGV[1] then
  return false
end
if ARGV[2] ~= '' then
  redis.call('XTRIM', KEYS[2], 'MINID', ARGV[2])
end
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', ARGV[3])
