-- What join and read share. An entry of a log is `number:`, the tag of the event before, and its envelope.

-- The entries behind the event with the tag `mine`; whether these are all up to the one with the tag `last`, for
-- a channel that Redis has forgotten meanwhile begins anew, with a log that may be older; whether that is only
-- so because they are more than so many bytes; and whether that with the tag `mine` was found.
local function entries_after(log, mine, last, bytes)
  local is_whole, expected, from = true, last, 1
  for at = #log, 1, -1 do
    local start = log[at]:find(':', 1, true)
    local before, own = log[at]:sub(start + 1, start + 8), log[at]:sub(start + 11, start + 18)
    is_whole = is_whole and own == expected
    if own == mine or before == mine then
      is_whole = is_whole and before == mine
      from = before == mine and at or at + 1
      mine = nil
      break
    end
    bytes = bytes - #log[at]
    if bytes < 0 then
      from = at + 1
      break
    end
    expected = before
  end
  local found = {}
  for at = from, #log do found[#found + 1] = log[at] end
  return found, is_whole and not mine, bytes < 0, not mine
end
