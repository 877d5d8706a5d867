-- Gives a lease up, if it is still this life's.
-- KEYS: 1 lease. ARGV: 1 incarnation. Returns 1 when it was given up, else 0.
if redis.call('HGET', KEYS[1], 'life') ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
