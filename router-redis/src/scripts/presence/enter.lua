-- Puts a client on the roster.
-- ARGV: 4 client, 5 owner's node, 6 its life, 7 serial, 8 address, 9 now, 10 how long it is kept,
-- 11 '1' if its socket was there before, 12 what is said of it.
-- Returns {what was done, version}.
local client, node, life, serial, address, now = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local owner, said = node .. '#' .. life, ARGV[12]
if fenced(node, life) then
  return {'fenced', '0'}
end
local new = {
  state = 'connected', first = now, last = now, version = '0', kept = ARGV[10], owner = owner,
  serial = serial, address = address, said = said, user = string.match(said, '^[^\n]*'),
}
local old, kind = get(client), 'connected'
if old then
  local elsewhere = old.owner ~= owner and old.address ~= address and old.state == 'connected'
  if (old.owner == owner and later(old.serial, serial)) or (ARGV[11] == '1' and elsewhere) then
    return {'not_held', '0'}
  end
  new.first, new.version = old.first, old.version
  if later(old.last, now) then new.last = old.last end
  if old.state == 'disconnected' then
    kind = 'reconnected'
  elseif old.said ~= said then
    kind = 'updated'
  else
    kind = nil
  end
end
local version = kind and tell(kind, client, new)
put(client, new)
move(client, old, new)
if not old then
  redis.call('ZADD', ORDER, 0, client)
  redis.call('PERSIST', STATE)
end
return {kind or 'quiet', version or '0'}
