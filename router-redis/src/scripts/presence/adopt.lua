-- Moves members of a dead life into an owner's hands, and fences that life.
-- ARGV: 4 the dead life's node, 5 the dead life, 6 owner's node, 7 its life, 8 when they were last
-- seen at least, 9 how many at most.
-- Returns {'adopted', whether there are more, client, record, …} or {'fenced'}.
local dead, owner, limit = ARGV[4] .. '#' .. ARGV[5], ARGV[6] .. '#' .. ARGV[7], tonumber(ARGV[9])
if fenced(ARGV[6], ARGV[7]) then
  return {'fenced'}
end
if not fenced(ARGV[4], ARGV[5]) then
  redis.call('HSET', STATE, 'fence ' .. ARGV[4], ARGV[5])
end
local clients = held(dead, '', limit + 1)
local answer = {'adopted', #clients > limit and '1' or '0'}
for at = 1, math.min(#clients, limit) do
  local client = clients[at]
  local old = get(client)
  local new = with(old, {owner = owner, serial = '0'})
  if old.state == 'connected' then
    new.state = 'disconnected'
    new.last = later(old.last, ARGV[8]) and old.last or ARGV[8]
    tell('disconnected', client, new)
  end
  put(client, new)
  move(client, old, new)
  answer[#answer + 1] = client
  answer[#answer + 1] = record(new)
end
settle()
return answer
