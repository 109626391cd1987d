-- The events of the channel after the one with this tag.
-- KEYS: c l     ARGV: tag bytes
-- Answer: 1 where others may be missing before them, 2 where they are more than so many bytes, else 0; and the
-- events as published
local last = redis.call('HGET', KEYS[1], 't')
if last == ARGV[1] then return {0, {}} end
local found, is_whole, is_more = entries_after(redis.call('LRANGE', KEYS[2], 0, -1), ARGV[1], last, tonumber(ARGV[2]))
return {is_whole and 0 or is_more and 2 or 1, found}
