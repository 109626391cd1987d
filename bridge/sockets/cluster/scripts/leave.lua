-- The node has nobody left as this user in the channel, or (last) nobody at all.
-- KEYS: c m n i g dead h    ARGV: node place topic channel user last counted call
-- Answer: 'FENCED', or when the user left the channel, and when the channel was left by all; '' for neither
local c, m, n, i, g = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local node, place, topic, channel, user = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
if redis.call('EXISTS', KEYS[6]) == 1 then return 'FENCED' end
local removed, vacated = false, false
if user ~= '' then
  local went, at = pcall(leave_user, c, m, n, g, topic, node, place, user)
  if went then
    removed = at
  elseif ARGV[6] == '0' or not is_of_a_key(at) then
    error(at)
  end  -- else the roster is not what it should be, and the channel is left all the same
end
if removed then note(KEYS[7], ARGV[8], 'l', place, user, removed) end
if ARGV[6] == '1' then
  vacated = leave_channel(c, n, i, g, topic, node, place, channel, ARGV[7] == '1')
  if vacated then note(KEYS[7], ARGV[8], 'l', place, '', vacated) end
end
return {removed or '', vacated or ''}
