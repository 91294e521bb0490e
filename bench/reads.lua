-- wrk: GET of READ, where %d stands for one of the accounts 1000 .. 1000 + ACCOUNTS - 1.
dofile("result.lua")
local accounts = tonumber(os.getenv("ACCOUNTS") or 10000)
local read = os.getenv("READ")

request = function()
  return "GET " .. read:gsub("%%d", 1000 + math.random(0, accounts - 1)) .. " HTTP/1.1\r\nHost: localhost\r\n\r\n"
end
