-- Extends a lease, if it is still this life's.
-- KEYS: 1 lease. ARGV: 1 incarnation, 2 ms to live. Returns 1, or 0 when the lease is lost.
if redis.call('HGET', KEYS[1], 'life') ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
