-- The first bytes of the first entry of a list, and of a sorted set; empty where there is none.
--
-- KEYS  list, sorted set
-- ARGV  how many bytes

local function start(entries)
    return string.sub(entries[1] or '', 1, tonumber(ARGV[1]))
end

return {
    start(redis.call('LRANGE', KEYS[1], 0, 0)),
    start(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '+inf', 'LIMIT', 0, 1)),
}
