-- A part of the roster, in the order of client ids.
-- ARGV: 4 after whom, or '', 5 how many at most.
-- Returns {epoch, version, whether there are more, client, record, …}.
local limit = tonumber(ARGV[5])
redis.call('HSETNX', STATE, 'epoch', ARGV[2])
settle()
local from = ARGV[4] == '' and '-' or '(' .. ARGV[4]
local clients = redis.call('ZRANGEBYLEX', ORDER, from, '+', 'LIMIT', 0, limit + 1)
local epoch, version = redis.call('HGET', STATE, 'epoch'), redis.call('HGET', STATE, 'version')
local answer = {epoch, version or '0', #clients > limit and '1' or '0'}
clients[limit + 1] = nil
if #clients > 0 then
  local records = redis.call('HMGET', MEMBERS, unpack(clients))
  for at, client in ipairs(clients) do
    answer[#answer + 1] = client
    answer[#answer + 1] = records[at]
  end
end
return answer
