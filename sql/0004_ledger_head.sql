-- 0004_ledger_head: where the log ends.
--
-- Why    Every write transaction locks this one row first and holds it until its commit. So write transactions follow one
--        another, transaction ids have no gaps and are in commit order, and no two of them can deadlock over accounts.
--        The service posts hundreds of requests per transaction, which is what makes one lock for all of them cheap.
-- Locks  A new table that nobody uses yet: nothing waits.
-- Older  Safe: the first version of the service came with this script.
-- Undo   DROP TABLE ledger_head;

CREATE TABLE ledger_head (
    only_row            boolean     NOT NULL DEFAULT true,
    last_transaction_id bigint      NOT NULL,
    last_created_at     timestamptz NOT NULL,
    last_hash           bytea       NOT NULL,

    CONSTRAINT ledger_head_pk PRIMARY KEY (only_row),
    CONSTRAINT ledger_head_is_a_single_row CHECK (only_row),
    CONSTRAINT ledger_head_last_transaction_id_is_not_negative CHECK (last_transaction_id >= 0),
    CONSTRAINT ledger_head_last_hash_is_a_sha256 CHECK (octet_length(last_hash) = 32)
)
-- One row that changes with every transaction: leave its page to its versions.
WITH (fillfactor = 10);

COMMENT ON COLUMN ledger_head.last_hash IS 'Of the last block (0005); while there is none, sha256 of nothing.';

INSERT INTO ledger_head (last_transaction_id, last_created_at, last_hash)
VALUES (0, clock_timestamp(), sha256(''));
