-- Whom an owner holds, in short.
-- ARGV: 4 owner, 5 after whom, or '', 6 how many at most. Returns {client, state, serial, …}.
local answer, clients = {}, held(ARGV[4], ARGV[5], ARGV[6])
if #clients > 0 then
  local records = redis.call('HMGET', MEMBERS, unpack(clients))
  for at, client in ipairs(clients) do
    local m = read(records[at])
    for _, word in ipairs({client, m.state, m.serial}) do answer[#answer + 1] = word end
  end
end
return answer
