-- Makes a client disconnected, if it is this owner's.
-- ARGV: 4 client, 5 owner, 6 serial, 7 when it was last seen. Returns {what was done, version}.
local client, serial, seen = ARGV[4], ARGV[6], ARGV[7]
local old = get(client)
if not old or old.owner ~= ARGV[5] or later(old.serial, serial) then
  return {'not_held', '0'}
end
if old.state == 'disconnected' then
  put(client, with(old, {serial = serial}))
  return {'quiet', '0'}
end
local last = later(old.last, seen) and old.last or seen
local new = with(old, {state = 'disconnected', last = last, serial = serial})
local version = tell('disconnected', client, new)
put(client, new)
move(client, old, new)
return {'disconnected', version}
