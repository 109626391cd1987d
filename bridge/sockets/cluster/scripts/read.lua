-- The events of the channel after the one with this tag.
-- KEYS: c l     ARGV: tag
-- Answer: whether others may be missing before them, and the events as published
local last = redis.call('HGET', KEYS[1], 't')
if last == ARGV[1] then return {0, {}} end
local found, is_whole = entries_after(redis.call('LRANGE', KEYS[2], 0, -1), ARGV[1], last)
return {is_whole and 0 or 1, found}
