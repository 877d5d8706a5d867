-- What the scripts of rosters share: the text of each begins with this one.
-- KEYS: 1 the roster's state, 2 its members, 3 their order, 4 who holds whom, 5 its users.
-- ARGV: 1 the channel, 2 an epoch, if none has begun, 3 an empty roster's ms to live.
-- The state has `epoch`, `version`, how many are `connected` and `disconnected`, and for each node
-- from which somebody adopted its last such life, `fence ns/nid`. Members are records, lines of text
-- of which the first two are read here; router_core::presence says what is in them.
-- What can fail comes before the first write: types are checked by reading, memory by the write of
-- the version, the right to publish by publishing. A version that led to nothing is no harm.
local STATE, MEMBERS, ORDER, HELD, USERS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

local function read(record)
  local head, said = string.match(record, '^([^\n]*)\n(.*)$')
  local m = {said = said, user = string.match(said, '^[^\n]*')}
  m.state, m.first, m.last, m.version, m.kept, m.owner, m.serial, m.address =
    string.match(head, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$')
  return m
end

local function get(client)
  local record = redis.call('HGET', MEMBERS, client)
  return record and read(record)
end

local function record(m)
  local head = {m.state, m.first, m.last, m.version, m.kept, m.owner, m.serial, m.address}
  return table.concat(head, ' ') .. '\n' .. m.said
end

local function with(m, changes)
  local new = {}
  for name, value in pairs(m) do new[name] = value end
  for name, value in pairs(changes) do new[name] = value end
  return new
end

local function later(one, other)
  return tonumber(one) > tonumber(other)
end

local function fenced(node, life)
  local fence = redis.call('HGET', STATE, 'fence ' .. node)
  return fence and not later(life, fence)
end

-- Gives a change the next version, and tells it. This is where rosters publish.
local function tell(kind, client, m)
  redis.call('HSETNX', STATE, 'epoch', ARGV[2])
  m.version = string.format('%.0f', redis.call('HINCRBY', STATE, 'version', 1))
  local epoch = redis.call('HGET', STATE, 'epoch')
  say(ARGV[1], '!' .. epoch .. ' ' .. kind .. ' ' .. client .. '\n' .. record(m))
  return m.version
end

-- Counts a member out as it was and in as it is; either may be nil.
local function move(client, old, new)
  old, new = old or {}, new or {}
  if old.state ~= new.state then
    if old.state then redis.call('HINCRBY', STATE, old.state, -1) end
    if new.state then redis.call('HINCRBY', STATE, new.state, 1) end
  end
  if old.owner ~= new.owner then
    if old.owner then redis.call('ZREM', HELD, old.owner .. ' ' .. client) end
    if new.owner then redis.call('ZADD', HELD, 0, new.owner .. ' ' .. client) end
  end
  if old.user ~= new.user then
    if (old.user or '') ~= '' and redis.call('HINCRBY', USERS, old.user, -1) == 0 then
      redis.call('HDEL', USERS, old.user)
    end
    if (new.user or '') ~= '' then redis.call('HINCRBY', USERS, new.user, 1) end
  end
end

local function put(client, m)
  redis.call('HSET', MEMBERS, client, record(m))
end

-- Lets the state of an empty roster be forgotten some time.
local function settle()
  if redis.call('EXISTS', MEMBERS) == 0 then
    redis.call('PEXPIRE', STATE, ARGV[3])
  end
end

-- At most so many clients of an owner after one ('' for the first).
local function held(owner, after, limit)
  local from = after == '' and '[' .. owner .. ' ' or '(' .. owner .. ' ' .. after
  local found = redis.call('ZRANGEBYLEX', HELD, from, '(' .. owner .. '!', 'LIMIT', 0, limit)
  for at, name in ipairs(found) do found[at] = string.sub(name, #owner + 2) end
  return found
end
