-- The last event of a presence channel, the version of its roster, and whether that is whole: Redis may have evicted
-- it alone.
-- KEYS: c m
local record = redis.call('HMGET', KEYS[1], 't', 'v', 'u')
local is_whole = not record[3] or tonumber(record[3]) == redis.call('HLEN', KEYS[2])
return {record[1], record[2], is_whole and 1 or 0}
