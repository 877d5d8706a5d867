-- Stands before every script that says something on a channel or asks how that is done.
--
-- A server of Redis 7 has sharded pub/sub, and channels go by it; an older one, or one whose command
-- was taken away, has only the plain one. What decides is whether the server knows SPUBLISH, for
-- those who publish and for those who subscribe (sharded.lua).

-- Whether an answer says that the server does not know the command.
local function unknown(answer)
  return type(answer) == 'table' and answer.err and string.find(answer.err, 'Unknown') ~= nil
end

-- Publishes a frame on a channel; gives how many heard it. The channel is in the slot of the script's
-- keys: it has their hash tag.
local function say(channel, frame)
  local heard = redis.pcall('SPUBLISH', channel, frame)
  if unknown(heard) then
    return redis.call('PUBLISH', channel, frame)
  end
  if type(heard) == 'table' then
    error(heard.err)
  end
  return heard
end
