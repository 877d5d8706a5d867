-- Whether channels go by sharded pub/sub on this server. Returns 1 or 0.
-- Without arguments the command does nothing: it is refused in one way where it is known, and in
-- another where it is not.
return unknown(redis.pcall('SPUBLISH')) and 0 or 1
