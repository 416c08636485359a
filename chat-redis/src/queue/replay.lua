-- ARGV: the letter, jobs at most, bytes at most. Answers 0 when it is not kept, -1 when the queue is full.
local letter = redis.call('XRANGE', DEAD, ARGV[1], ARGV[1])[1]
if not letter then
    return 0
end
if not add(letter[2][2], letter[2][4], '', ARGV[2], ARGV[3]) then
    return -1
end
return forget_letter(ARGV[1])
