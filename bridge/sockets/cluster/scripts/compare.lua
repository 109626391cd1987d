-- The last event of a presence channel, and whether its roster is whole: Redis may have evicted that alone.
-- KEYS: c m
local record = redis.call('HMGET', KEYS[1], 't', 'u')
return {record[1], not record[2] and 1 or (tonumber(record[2]) == redis.call('HLEN', KEYS[2]) and 1 or 0)}
