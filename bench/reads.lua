-- wrk: GET of READ, where %d stands for one of the accounts 1000 .. 1000 + ACCOUNTS - 1.
dofile("result.lua")
local accounts = tonumber(os.getenv("ACCOUNTS") or 10000)
local read = os.getenv("READ")

request = function()
  return wrk.format("GET", (read:gsub("%%d", 1000 + math.random(0, accounts - 1))))
end
