-- Entries of a list from a position on, as many as have so many bytes together; one at least.
--
-- KEYS  list
-- ARGV  first and last position, most bytes, bytes from which on an entry is not wanted
-- Returns the entries, in order; empty ones in place of those that are not wanted.

local first, last, left = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local entries = {}
while first <= last do
    local read = redis.call('LRANGE', KEYS[1], first, math.min(first + 9, last))
    for _, entry in ipairs(read) do
        if #entry >= tonumber(ARGV[4]) then
            entry = ''
        end
        left = left - #entry
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
