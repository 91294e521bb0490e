-- 0002_account: who holds how much.
--
-- Why    One row per account, with its current balance: a posting is decided from one row and never sums a log.
--        A settlement account per currency stands for the world outside the book. A deposit comes from it, a withdrawal
--        goes to it, so the balances of a currency always sum to zero. Its id is the currency's numeric code.
--        Customers' ids come from ledger_head (0006) and start at 1000.
-- Locks  A new table that nobody uses yet: nothing waits.
-- Older  Safe: the first version of the service came with this script.
-- Undo   DROP TABLE account;

CREATE TABLE account (
    account_id      bigint        NOT NULL,
    kind            text          NOT NULL DEFAULT 'customer',
    owner_name      text          NOT NULL,
    currency        text          NOT NULL,
    status          text          NOT NULL DEFAULT 'active',
    balance         numeric(19,4) NOT NULL DEFAULT 0,
    held            numeric(19,4) NOT NULL DEFAULT 0,
    overdraft_limit numeric(19,4) NOT NULL DEFAULT 0,
    -- Sorted by its bytes. The operating system's order can change with a release, and an index in it could then miss rows.
    reference       text          COLLATE "C",
    metadata        jsonb,
    created_at      timestamptz   NOT NULL,

    CONSTRAINT account_pk PRIMARY KEY (account_id),
    -- The target of the log's foreign keys: an entry can't be in another currency than its account.
    CONSTRAINT account_has_one_currency UNIQUE (account_id, currency),
    CONSTRAINT account_currency_is_known FOREIGN KEY (currency) REFERENCES currency (code),
    CONSTRAINT account_kind_is_customer_or_settlement CHECK (kind IN ('customer', 'settlement')),
    CONSTRAINT account_id_is_below_1000_for_settlement_only CHECK (account_id > 0 AND (kind = 'settlement') = (account_id < 1000)),
    CONSTRAINT account_owner_name_has_1_to_200_characters CHECK (char_length(owner_name) BETWEEN 1 AND 200),
    CONSTRAINT account_status_is_known CHECK (status IN ('active', 'debits_blocked', 'frozen', 'closed')),
    CONSTRAINT account_held_is_not_negative CHECK (held >= 0),
    CONSTRAINT account_overdraft_limit_is_not_negative CHECK (overdraft_limit >= 0),
    CONSTRAINT account_balance_of_a_customer_covers_its_holds_within_its_limit CHECK (kind = 'settlement' OR balance - held >= -overdraft_limit),
    CONSTRAINT account_is_empty_when_closed CHECK (status <> 'closed' OR (balance = 0 AND held = 0)),
    CONSTRAINT account_of_settlement_is_plain CHECK (kind = 'customer' OR (status = 'active' AND held = 0 AND overdraft_limit = 0)),
    CONSTRAINT account_reference_has_at_most_140_characters CHECK (char_length(reference) <= 140),
    CONSTRAINT account_metadata_is_an_object CHECK (jsonb_typeof(metadata) = 'object')
)
-- Room on each page for new versions of its rows: a balance changes no index, so its update stays on the page.
WITH (fillfactor = 70);

-- Serves list_accounts by reference. Most accounts have none, and then cost nothing here.
CREATE INDEX account_reference_idx ON account (reference, account_id) WHERE reference IS NOT NULL;

COMMENT ON COLUMN account.owner_name      IS 'In no log and in no hash, so that it can be corrected or erased.';
COMMENT ON COLUMN account.held            IS 'The sum of what the account''s pending holds have left. It is reserved for later payments.';
COMMENT ON COLUMN account.overdraft_limit IS 'How far below zero balance - held may fall. Settlement accounts have no such limit.';
COMMENT ON COLUMN account.status          IS 'active; debits_blocked: takes money in and pays none out; frozen: neither; closed: for ever.';

INSERT INTO account (account_id, kind, owner_name, currency, created_at)
SELECT numeric_code
     , 'settlement'
     , 'Settlement ' || code
     , code
     , clock_timestamp()
  FROM currency
 ORDER BY numeric_code;
