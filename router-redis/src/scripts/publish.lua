-- Gives a frame the channel's next offset, and publishes it under that.
-- KEYS: 1 the channel's position. ARGV: 1 an epoch, if none has begun, 2 the position's ms to live,
-- 3 the channel, 4 the frame. Returns {epoch, offset, how many heard it}.
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then
  epoch = ARGV[1]
  redis.call('HSET', KEYS[1], 'epoch', epoch)
end
local offset = redis.call('HINCRBY', KEYS[1], 'offset', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local heard = say(ARGV[3], '@' .. epoch .. ' ' .. offset .. '\n' .. ARGV[4])
return {epoch, offset, heard}
