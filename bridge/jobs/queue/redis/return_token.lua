-- A token that woke us for a job that is not ours is there again for whom it concerns.
-- Tokens never outnumber the waiting jobs.
--
-- KEYS  list, notify list

if redis.call('LLEN', KEYS[1]) > redis.call('LLEN', KEYS[2]) then
    redis.call('RPUSH', KEYS[2], '1')
end
