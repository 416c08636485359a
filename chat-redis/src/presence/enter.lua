-- Adds users to a node, and begins its lease if it has none.
-- KEYS: the shard's nodes, the node's users in it. ARGV: the node, the lease in ms, users…
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
    redis.call('DEL', KEYS[2]) -- who was there under an old lease may have left since
    redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
end
if #ARGV > 2 then
    redis.call('SADD', KEYS[2], unpack(ARGV, 3))
end
-- Longer than any lease, so that nothing stays when all nodes are gone.
redis.call('PEXPIRE', KEYS[1], 2 * ARGV[2])
redis.call('PEXPIRE', KEYS[2], 2 * ARGV[2])
return 1
