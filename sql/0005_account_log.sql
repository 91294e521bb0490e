-- 0005_account_log: everything that happens to an account beside the movement of money.
--
-- Why    Who opened, changed, froze or closed an account, or placed or released a hold: when, why, and what that left behind.
--        With transaction_log this is the whole history of a book. The chain (0007) covers both logs: verify finds a limit that
--        somebody raised by hand. Rows are only added (0008). Ids have no gaps and follow the order of commits.
-- Locks  A new table that nobody uses yet: nothing waits.
-- Older  Safe: the first version of the service came with this script.
-- Undo   DROP TABLE account_log;

CREATE TABLE account_log (
    account_event_id      bigint        NOT NULL,
    type                  text          NOT NULL,
    account_id            bigint        NOT NULL,
    hold_id               bigint,
    amount                numeric(19,4),
    hold_to_account_id    bigint,
    hold_expires_at       timestamptz,
    status_after          text          NOT NULL,
    overdraft_limit_after numeric(19,4) NOT NULL,
    held_after            numeric(19,4) NOT NULL,
    balance_after         numeric(19,4) NOT NULL,
    after_transaction_id  bigint        NOT NULL,
    -- Sorted by their bytes. The operating system's order can change with a release, and an index in it could then miss a used key.
    client_id             text          COLLATE "C" NOT NULL,
    idempotency_key       text          COLLATE "C" NOT NULL,
    request_hash          bytea,
    reason                text,
    created_at            timestamptz   NOT NULL,

    CONSTRAINT account_log_pk PRIMARY KEY (account_event_id),
    -- Exactly once: a request that is sent again finds its key here.
    CONSTRAINT account_log_key_is_used_once UNIQUE (client_id, idempotency_key),
    CONSTRAINT account_log_account_exists FOREIGN KEY (account_id) REFERENCES account (account_id),
    CONSTRAINT account_log_hold_exists FOREIGN KEY (hold_id) REFERENCES hold (hold_id),
    CONSTRAINT account_log_id_is_positive CHECK (account_event_id > 0),
    CONSTRAINT account_log_type_is_known CHECK (type IN ('opened', 'changed', 'frozen', 'unfrozen', 'closed', 'hold_placed', 'hold_released', 'hold_expired')),
    CONSTRAINT account_log_hold_events_name_their_hold CHECK ((type LIKE 'hold\_%') = (hold_id IS NOT NULL)),
    CONSTRAINT account_log_hold_events_have_an_amount CHECK ((hold_id IS NULL) = (amount IS NULL)),
    CONSTRAINT account_log_placing_names_the_hold_by_its_own_id CHECK (type <> 'hold_placed' OR hold_id = account_event_id),
    CONSTRAINT account_log_placing_says_when_the_hold_expires CHECK ((type = 'hold_placed') = (hold_expires_at IS NOT NULL)),
    CONSTRAINT account_log_only_a_placing_says_whom_the_hold_pays CHECK (type = 'hold_placed' OR hold_to_account_id IS NULL),
    CONSTRAINT account_log_amount_is_above_zero CHECK (amount > 0),
    CONSTRAINT account_log_after_transaction_id_is_not_negative CHECK (after_transaction_id >= 0),
    CONSTRAINT account_log_key_has_1_to_255_characters CHECK (char_length(idempotency_key) BETWEEN 1 AND 255),
    CONSTRAINT account_log_only_an_expiry_has_no_request CHECK ((type = 'hold_expired') = (request_hash IS NULL)),
    CONSTRAINT account_log_request_hash_is_a_sha256 CHECK (octet_length(request_hash) = 32),
    CONSTRAINT account_log_reason_has_at_most_500_characters CHECK (char_length(reason) <= 500)
);

-- Serves a page of an account's events, newest first, and the check of what the last one left behind.
CREATE INDEX account_log_account_idx ON account_log (account_id, account_event_id);
-- Serves the check that compares a hold with its events. Other rows are not in it.
CREATE INDEX account_log_hold_idx ON account_log (hold_id, account_event_id) WHERE hold_id IS NOT NULL;

COMMENT ON COLUMN account_log.account_event_id     IS 'From ledger_head: no gaps, in the order of commits.';
COMMENT ON COLUMN account_log.amount               IS 'What a hold event holds, or makes free again.';
COMMENT ON COLUMN account_log.hold_to_account_id   IS 'Of a placing: the account that the captures pay, as in hold.';
COMMENT ON COLUMN account_log.status_after         IS 'The status right after the event. So are the other columns ..._after.';
COMMENT ON COLUMN account_log.after_transaction_id IS 'The last transaction before the event. It gives the rows of both logs one order.';
COMMENT ON COLUMN account_log.client_id            IS 'The caller that asked for it; idempotency keys are its own. core-banking: the service itself, for an expiry.';
COMMENT ON COLUMN account_log.request_hash         IS 'sha256 of the request: a retry is the same request if its hash is. NULL for an expiry, which nobody asked for.';
