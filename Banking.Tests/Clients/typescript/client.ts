import createClient from "openapi-fetch";
import type { paths } from "./schema.js";
import { retryingFetch } from "./retry.js";

const bank = createClient<paths>({
  baseUrl: process.env.BANKING_URL,
  headers: { Authorization: `Bearer ${process.env.BANKING_TOKEN}` },
  fetch: retryingFetch,
});

const { data: account, error: notOpened } = await bank.POST("/api/create_account", {
  params: { header: { "Idempotency-Key": "account-17" } },
  body: { owner_name: "Ada Lovelace", currency: "EUR", initial_deposit: "100.00" },
});
if (notOpened) throw new Error(notOpened.code);
console.log(`balance ${account.balance}`);

const { data: deposit, error: notDeposited } = await bank.POST("/api/deposit", {
  params: { header: { "Idempotency-Key": "deposit-4711" } },
  body: { account_id: account.account_id, amount: "10.50" },
});
if (notDeposited) throw new Error(notDeposited.code);
console.log(`balance ${deposit.to_balance_after}`);

const { error: refused } = await bank.POST("/api/withdraw", {
  params: { header: { "Idempotency-Key": "withdrawal-4712" } },
  body: { account_id: account.account_id, amount: "1000.00" },
});
if (refused?.code === "insufficient_funds") {
  console.log(`refused: ${refused.code}`);
}

let cursor: string | undefined;
do {
  const { data: page, error } = await bank.GET("/api/transaction_history", {
    params: { query: { account_id: account.account_id, limit: 1, cursor } },
  });
  if (error) throw new Error(error.code);
  for (const entry of page.transactions) {
    console.log(`${entry.direction} ${entry.amount}`);
  }
  cursor = page.next_cursor ?? undefined;
} while (cursor);

// The other calls, each once, so that a generator that trips over one of them is noticed.
const opened = await bank.POST("/api/create_account", {
  body: { owner_name: "Charles Babbage", currency: "EUR", reference: "customer-18", metadata: { branch: "London" } },
});
const other = opened.data!;
console.log(`createAccount ${other.account_id} ${other.reference} ${other.metadata!.branch}`);
const withdrawal = await bank.POST("/api/withdraw", { body: { account_id: account.account_id, amount: "10.50" } });
console.log(`withdraw ${withdrawal.data!.transaction_id} ${withdrawal.data!.from_balance_after}`);
const transfer = await bank.POST("/api/transaction", {
  params: { header: { "Idempotency-Key": "invoice-4713" } },
  body: { from_account_id: account.account_id, to_account_id: other.account_id, amount: "100.00" },
});
const { transaction_id, from_balance_after, to_balance_after } = transfer.data!;
console.log(`transaction ${transaction_id} ${from_balance_after} ${to_balance_after}`);
const read = await bank.GET("/api/get_one_transaction", { params: { query: { transaction_id } } });
console.log(`getOneTransaction ${read.data!.type} ${read.data!.amount} ${read.data!.currency}`);
const made = await bank.GET("/api/get_one_request", { params: { query: { idempotency_key: "invoice-4713" } } });
console.log(`getOneRequest ${made.data!.idempotency_key} ${made.data!.transactions[0]!.transaction_id} ${made.data!.accounts.length}`);
const placed = await bank.POST("/api/place_hold", {
  body: {
    account_id: other.account_id,
    to_account_id: account.account_id,
    amount: "30.00",
    expires_at: new Date(Date.now() + 36 * 3_600_000).toISOString(),
  },
});
const { hold_id, expires_at, created_at } = placed.data!;
console.log(`placeHold ${hold_id} ${placed.data!.amount} ${Math.floor((Date.parse(expires_at) - Date.parse(created_at)) / 86_400_000)}`);
const captured = await bank.POST("/api/capture_hold", { body: { hold_id, amount: "12.50", final: false } });
console.log(`captureHold ${captured.data!.transaction_id} ${captured.data!.amount}`);
const hold = await bank.GET("/api/get_one_hold", { params: { query: { hold_id } } });
console.log(`getOneHold ${hold.data!.status} ${hold.data!.captured_amount}`);
const pending = await bank.GET("/api/list_holds", { params: { query: { account_id: other.account_id, status: "pending" } } });
console.log(`listHolds ${pending.data!.holds[0]!.hold_id}`);
const released = await bank.POST("/api/release_hold", { body: { hold_id, reason: "Order cancelled" } });
console.log(`releaseHold ${released.data!.status} ${released.data!.captured_amount}`);
const reversal = await bank.POST("/api/reverse_transaction", { body: { transaction_id: captured.data!.transaction_id } });
console.log(`reverseTransaction ${reversal.data!.reverses_transaction_id} ${reversal.data!.amount}`);
const tried = await bank.POST("/api/batch", {
  body: {
    mode: "independent",
    dry_run: true,
    postings: [
      { type: "deposit", account_id: account.account_id, amount: "25.00" },
      { type: "withdrawal", account_id: account.account_id, amount: "1000.00" },
    ],
  },
});
console.log(`batch dry run: ${tried.data!.results!.map((result) => result.transaction?.amount ?? result.problem?.code).join(", ")}`);
const batch = await bank.POST("/api/batch", {
  body: {
    mode: "atomic",
    postings: [
      { type: "deposit", account_id: account.account_id, amount: "25.00" },
      { type: "transfer", from_account_id: account.account_id, to_account_id: other.account_id, amount: "25.00" },
    ],
  },
});
console.log(`batch ${batch.data!.transactions!.at(-1)!.to_balance_after}`);
const changed = await bank.POST("/api/change_account", {
  body: { account_id: other.account_id, overdraft_limit: "50.00", reason: "Agreed" },
});
console.log(`changeAccount ${changed.data!.overdraft_limit} ${changed.data!.available}`);
const frozen = await bank.POST("/api/freeze_account", {
  body: { account_id: other.account_id, blocks: "debits", reason: "Court order" },
});
console.log(`freezeAccount ${frozen.data!.status}`);
const list = await bank.GET("/api/list_accounts", { params: { query: { status: "debits_blocked" } } });
console.log(`listAccounts ${list.data!.accounts[0]!.account_id}`);
const unfrozen = await bank.POST("/api/unfreeze_account", { body: { account_id: other.account_id, reason: "Order lifted" } });
console.log(`unfreezeAccount ${unfrozen.data!.status}`);
const events = await bank.GET("/api/account_events", { params: { query: { account_id: other.account_id } } });
console.log(`accountEvents ${events.data!.events.map((happened) => happened.type).join(" ")}`);
const { account_id } = account;
const paid = await bank.GET("/api/transaction_history", {
  params: { query: { account_id, from: account.created_at, type: "transfer", direction: "debit" } },
});
console.log(`transactionHistory ${paid.data!.transactions.map((entry) => entry.amount).join(" ")}`);
const past = await bank.GET("/api/balance_at", { params: { query: { account_id, at: transfer.data!.created_at } } });
console.log(`balanceAt ${past.data!.balance} ${past.data!.transaction_id}`);
const statement = await bank.GET("/api/statement", {
  params: { query: { account_id, from: account.created_at, to: transfer.data!.created_at } },
});
console.log(`statement ${statement.data!.entries.length} ${statement.data!.totals.credits.amount} ${statement.data!.closing_balance}`);
const happenings = await bank.GET("/api/events", { params: { query: { after: "0-1", limit: 2, wait: 1 } } });
console.log(`events ${happenings.data!.map((happened) => happened.id).join(" ")} ${happenings.data![0]!.data.transaction!.amount}`);
const closed = await bank.POST("/api/close_account", { body: { account_id: account.account_id, reason: "Customer left" } });
console.log(`closeAccount ${closed.data!.status}`);
const shown = await bank.GET("/api/get_one_account", { params: { query: { account_id: account.account_id } } });
console.log(`getOneAccount ${shown.data!.status} ${shown.data!.balance}`);
const head = await bank.GET("/api/audit_head");
console.log(`auditHead ${head.data!.transaction_id} ${head.data!.hash.length}`);
