-- A life's notes by rising serial.
-- KEYS: 1 the life's notes. ARGV: 1 after which serial, 2 how many at most.
-- Returns {channel, serial, …}.
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
