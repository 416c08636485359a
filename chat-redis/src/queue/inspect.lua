-- ARGV: the letter. Answers priority, expires and body of its job.
local letter = redis.call('XRANGE', DEAD, ARGV[1], ARGV[1])[1]
return letter and { letter[2][4], letter[2][6], letter[2][2] } or false
