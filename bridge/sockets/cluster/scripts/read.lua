-- The events of the channel after the one with this tag.
-- KEYS: c l     ARGV: tag
-- Answer: whether others may be missing before them, and the events as published
if redis.call('HGET', KEYS[1], 't') == ARGV[1] then return {0, {}} end
local log = redis.call('LRANGE', KEYS[2], 0, -1)
for at = #log, 1, -1 do
  local colon = log[at]:find(':', 1, true)
  if log[at]:sub(colon + 1, colon + 8) == ARGV[1] then
    local after = {}
    for next = at, #log do after[#after + 1] = log[next] end
    return {0, after}
  end
end
return {1, log}
