-- What the nodes have counted since this was last called.   KEYS: s
local counted = redis.call('HGETALL', KEYS[1])
redis.call('DEL', KEYS[1])
return counted
