-- Whom an owner holds, in short.
-- ARGV: 4 owner, 5 after whom, or '', 6 how many at most. Returns {client, state, serial, …}.
local answer = {}
for _, client in ipairs(held(ARGV[4], ARGV[5], ARGV[6])) do
  local m = get(client)
  for _, word in ipairs({client, m.state, m.serial}) do answer[#answer + 1] = word end
end
return answer
