-- Gives the shared secret, which is the candidate if there was none, and lets it live on.
-- KEYS: 1 secret. ARGV: 1 candidate, 2 ms to live. Returns the secret.
local secret = redis.call('GET', KEYS[1])
if secret then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return secret
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
