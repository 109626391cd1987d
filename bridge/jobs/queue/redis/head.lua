-- Entries from a position on, as many as have so many bytes together; one at least.
--
-- KEYS  list, or with ARGV[5] a sorted set
-- ARGV  first and last position, most bytes, bytes from which on an entry is not wanted; the highest score
-- Returns the entries, in order; in place of one that is not wanted its length and its first bytes.

local start = 1000 -- bytes
local first, last, left = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local function page(most)
    if ARGV[5] then
        return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[5], 'LIMIT', first, most)
    end
    return redis.call('LRANGE', KEYS[1], first, first + most - 1)
end

local entries = {}
while first <= last do
    local read = page(math.min(10, last - first + 1))
    for _, entry in ipairs(read) do
        if #entry >= tonumber(ARGV[4]) then
            left = left - start
            entry = {#entry, string.sub(entry, 1, start)}
        else
            left = left - #entry
        end
        if left < 0 and #entries > 0 then
            return entries
        end
        entries[#entries + 1] = entry
    end
    if #read < 10 then
        break
    end
    first = first + 10
end
return entries
