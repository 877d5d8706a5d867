-- How many are connected, how many disconnected, and how many users they are.
local connected = redis.call('HGET', STATE, 'connected') or '0'
local disconnected = redis.call('HGET', STATE, 'disconnected') or '0'
return {connected, disconnected, redis.call('HLEN', USERS)}
