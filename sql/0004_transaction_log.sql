-- 0004_transaction_log: every movement of money, once, for ever.
--
-- Why    This log is the source of truth, and the balances are its sums. A row is a posting: an amount that left one account
--        and reached another in the same instant, with both balances after it. Rows are only added: 0008 refuses anything else.
--        Ids have no gaps and follow the order of commits. So a reader who asks for
--        "transaction_id > the last one I saw" never misses one.
-- Locks  A new table that nobody uses yet: nothing waits.
-- Older  Safe: the first version of the service came with this script.
-- Undo   DROP VIEW account_entry; DROP TABLE transaction_log;

CREATE TABLE transaction_log (
    transaction_id          bigint        NOT NULL,
    type                    text          NOT NULL,
    from_account_id         bigint        NOT NULL,
    to_account_id           bigint        NOT NULL,
    amount                  numeric(19,4) NOT NULL,
    currency                text          NOT NULL,
    from_balance_after      numeric(19,4) NOT NULL,
    to_balance_after        numeric(19,4) NOT NULL,
    reverses_transaction_id bigint,
    hold_id                 bigint,
    -- Sorted by their bytes. The operating system's order can change with a release, and an index in it could then miss a used key.
    client_id               text          COLLATE "C" NOT NULL,
    idempotency_key         text          COLLATE "C" NOT NULL,
    part                    smallint      NOT NULL DEFAULT 0,
    request_hash            bytea,
    reference               text,
    metadata                jsonb,
    created_at              timestamptz   NOT NULL,

    CONSTRAINT transaction_log_pk PRIMARY KEY (transaction_id),
    -- Exactly once: a request that is sent again finds its key here.
    CONSTRAINT transaction_log_key_is_used_once UNIQUE (client_id, idempotency_key, part),
    -- With the currency in the key, both accounts are of the posting's currency.
    CONSTRAINT transaction_log_from_account_exists_in_that_currency FOREIGN KEY (from_account_id, currency) REFERENCES account (account_id, currency),
    CONSTRAINT transaction_log_to_account_exists_in_that_currency FOREIGN KEY (to_account_id, currency) REFERENCES account (account_id, currency),
    CONSTRAINT transaction_log_hold_exists FOREIGN KEY (hold_id) REFERENCES hold (hold_id),
    CONSTRAINT transaction_log_reversed_transaction_exists FOREIGN KEY (reverses_transaction_id) REFERENCES transaction_log (transaction_id),
    CONSTRAINT transaction_log_id_is_positive CHECK (transaction_id > 0),
    CONSTRAINT transaction_log_type_is_known CHECK (type IN ('deposit', 'withdrawal', 'transfer', 'reversal')),
    CONSTRAINT transaction_log_reversal_names_what_it_reverses CHECK ((type = 'reversal') = (reverses_transaction_id IS NOT NULL)),
    CONSTRAINT transaction_log_reversal_is_later_than_what_it_reverses CHECK (reverses_transaction_id < transaction_id),
    CONSTRAINT transaction_log_reversal_captures_no_hold CHECK (hold_id IS NULL OR type <> 'reversal'),
    CONSTRAINT transaction_log_amount_is_above_zero CHECK (amount > 0),
    CONSTRAINT transaction_log_accounts_differ CHECK (from_account_id <> to_account_id),
    CONSTRAINT transaction_log_key_has_1_to_255_characters CHECK (char_length(idempotency_key) BETWEEN 1 AND 255),
    CONSTRAINT transaction_log_part_is_not_negative CHECK (part >= 0),
    CONSTRAINT transaction_log_part_of_a_batch_has_its_hash CHECK (part = 0 OR request_hash IS NOT NULL),
    CONSTRAINT transaction_log_request_hash_is_a_sha256 CHECK (octet_length(request_hash) = 32),
    CONSTRAINT transaction_log_reference_has_at_most_140_characters CHECK (char_length(reference) <= 140),
    CONSTRAINT transaction_log_metadata_is_an_object CHECK (jsonb_typeof(metadata) = 'object')
);

-- Serves a page of an account's history, newest first: the debits ...
CREATE INDEX transaction_log_from_account_idx ON transaction_log (from_account_id, transaction_id);
-- ... and the credits.
CREATE INDEX transaction_log_to_account_idx ON transaction_log (to_account_id, transaction_id);
-- Finds a transaction's reversals. Other rows are not in it.
CREATE INDEX transaction_log_reverses_idx ON transaction_log (reverses_transaction_id, transaction_id) WHERE reverses_transaction_id IS NOT NULL;
-- Finds a hold's captures. Other rows are not in it.
CREATE INDEX transaction_log_hold_idx ON transaction_log (hold_id, transaction_id) WHERE hold_id IS NOT NULL;

COMMENT ON COLUMN transaction_log.transaction_id          IS 'From ledger_head: no gaps, in the order of commits.';
COMMENT ON COLUMN transaction_log.reverses_transaction_id IS 'The transaction whose money this reversal gives back, whole or in part.';
COMMENT ON COLUMN transaction_log.hold_id                 IS 'The hold that this transaction captures.';
COMMENT ON COLUMN transaction_log.client_id               IS 'The caller that asked for the posting; idempotency keys are its own.';
COMMENT ON COLUMN transaction_log.part                    IS '0, or the place within a batch: 1, 2, ...';
COMMENT ON COLUMN transaction_log.request_hash            IS 'sha256 of the request, where this row alone does not tell it: of a reversal, a capture or a batch.';
COMMENT ON COLUMN transaction_log.created_at              IS 'This database''s clock; never runs backwards along transaction_id.';

-- A posting has two sides. In this view each side is a row, as its account sees it: for history, statements, checks and DBAs.
-- A query by account_id walks one index for each side.
CREATE VIEW account_entry AS
SELECT from_account_id    AS account_id
     , transaction_id
     , type
     , 'debit'            AS direction
     , amount
     , currency
     , from_balance_after AS balance_after
     , to_account_id      AS counterparty_account_id
     , reverses_transaction_id
     , hold_id
     , client_id
     , reference
     , metadata
     , created_at
  FROM transaction_log
 UNION ALL
SELECT to_account_id
     , transaction_id
     , type
     , 'credit'
     , amount
     , currency
     , to_balance_after
     , from_account_id
     , reverses_transaction_id
     , hold_id
     , client_id
     , reference
     , metadata
     , created_at
  FROM transaction_log;
