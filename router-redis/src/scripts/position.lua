-- How far a channel is; it begins where there is none.
-- KEYS: 1 the channel's position. ARGV: 1 an epoch, if none has begun, 2 the position's ms to live.
-- Returns {epoch, offset}.
redis.call('HSETNX', KEYS[1], 'epoch', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local epoch = redis.call('HGET', KEYS[1], 'epoch')
return {epoch, tonumber(redis.call('HGET', KEYS[1], 'offset') or 0)}
