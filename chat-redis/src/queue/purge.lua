-- Answers how many letters there were.
local letters = redis.call('XLEN', DEAD)
redis.call('DEL', DEAD)
redis.call('HDEL', META, 'dead_bytes')
return letters
