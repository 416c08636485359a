-- ARGV: where to begin, how many at most. Answers letters without their bodies.
local letters = {}
for _, letter in ipairs(redis.call('XRANGE', DEAD, ARGV[1], '+', 'COUNT', ARGV[2])) do
    letters[#letters + 1] = { letter[1], letter[2][8], letter[2][10] }
end
return letters
