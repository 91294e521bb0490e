-- wrk: atomic batches of 1,000 transfers of a cent between the accounts 1000 .. 1000 + ACCOUNTS - 1. The bodies are made before the
-- measurement and sent in turns: to make them would take as long as to post them.
dofile("result.lua")
local accounts = tonumber(os.getenv("ACCOUNTS") or 10000)
local requests, next = {}, 0

local seeded = init
init = function()
  seeded()
  for i = 1, 50 do
    local postings = {}
    for j = 1, 1000 do
      local from = math.random(0, accounts - 1)
      local to = (from + math.random(1, accounts - 1)) % accounts
      postings[j] = string.format('{"type":"transfer","from_account_id":%d,"to_account_id":%d,"amount":"0.01"}', 1000 + from, 1000 + to)
    end
    local body = '{"mode":"atomic","postings":[' .. table.concat(postings, ",") .. "]}"
    requests[i] = "POST /api/batch HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
  end
end

request = function()
  next = next % #requests + 1
  return requests[next]
end
