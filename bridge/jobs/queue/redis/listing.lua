-- The first entries of a queue, of each the first bytes.
--
-- KEYS  reserved, list, delayed
-- ARGV  how many entries of each, how many bytes
-- Returns reserved, waiting, delayed; the first and the last with a score after each.

local most, bytes = tonumber(ARGV[1]), tonumber(ARGV[2])

local function heads(entries)
    for place, entry in ipairs(entries) do
        entries[place] = string.sub(entry, 1, bytes)
    end
    return entries
end

return {
    heads(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, most)),
    heads(redis.call('LRANGE', KEYS[2], 0, most - 1)),
    heads(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, most)),
}
