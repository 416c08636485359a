-- Tells for each user whether any node with a lease has them.
-- KEYS: the shard's nodes. ARGV: what stands before a node's name in the key of its users, users…
-- The keys of the nodes' users are not declared: nobody knows them before. They are on the same server by their braces.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local online = {}
for user = 2, #ARGV do
    online[user - 1] = 0
end
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do
    for user, here in ipairs(redis.call('SMISMEMBER', ARGV[1] .. node, unpack(ARGV, 2))) do
        if here == 1 then
            online[user] = 1
        end
    end
end
return online
