-- wrk: transfers of a cent between the accounts 1000 .. 1000 + ACCOUNTS - 1; a share HOT of them (0 to 1) touches account 1000.
dofile("result.lua")
local accounts = tonumber(os.getenv("ACCOUNTS") or 10000)
local hot = tonumber(os.getenv("HOT") or 0)

request = function()
  local from = math.random() < hot and 0 or math.random(0, accounts - 1)
  local to = (from + math.random(1, accounts - 1)) % accounts
  if math.random() < 0.5 then from, to = to, from end
  local body = string.format('{"from_account_id":%d,"to_account_id":%d,"amount":"0.01"}', 1000 + from, 1000 + to)
  return "POST /api/transaction HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end
