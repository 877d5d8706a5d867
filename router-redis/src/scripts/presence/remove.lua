-- Takes a client off the roster, if it is this owner's.
-- ARGV: 4 client, 5 owner, 6 serial. Returns {what was done, version}.
local client = ARGV[4]
local old = get(client)
if not old or old.owner ~= ARGV[5] or later(old.serial, ARGV[6]) then
  return {'not_held', '0'}
end
local version = tell('removed', client, old)
redis.call('HDEL', MEMBERS, client)
redis.call('ZREM', ORDER, client)
move(client, old, nil)
settle()
return {'removed', version}
