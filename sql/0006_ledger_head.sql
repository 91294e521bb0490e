-- 0006_ledger_head: where the book ends.
--
-- Why    Every write transaction locks this one row first and holds it until its commit. So write transactions follow one
--        another, ids have no gaps and are in the order of commits, and no two transactions can deadlock over accounts.
--        All ids come from here. The service writes hundreds of requests in one transaction, so one lock for all is cheap.
-- Locks  A new table that nobody uses yet: nothing waits.
-- Older  Safe: the first version of the service came with this script.
-- Undo   DROP TABLE ledger_head; DROP FUNCTION require_rows;

CREATE TABLE ledger_head (
    only_row              boolean     NOT NULL DEFAULT true,
    last_block_id         bigint      NOT NULL,
    last_transaction_id   bigint      NOT NULL,
    last_account_event_id bigint      NOT NULL,
    last_account_id       bigint      NOT NULL,
    last_created_at       timestamptz NOT NULL,
    last_hash             bytea       NOT NULL,

    CONSTRAINT ledger_head_pk PRIMARY KEY (only_row),
    CONSTRAINT ledger_head_is_a_single_row CHECK (only_row),
    CONSTRAINT ledger_head_ids_are_not_negative CHECK (last_block_id >= 0 AND last_transaction_id >= 0 AND last_account_event_id >= 0),
    CONSTRAINT ledger_head_account_ids_of_customers_start_at_1000 CHECK (last_account_id >= 999),
    CONSTRAINT ledger_head_last_hash_is_a_sha256 CHECK (octet_length(last_hash) = 32)
)
-- One row that changes with every transaction: leave its page to its versions.
WITH (fillfactor = 10);

COMMENT ON COLUMN ledger_head.last_account_id IS 'The last account id that was given out. No account has a higher one; there may be none with this one.';
COMMENT ON COLUMN ledger_head.last_hash       IS 'Of the last block (0007); before the first block: sha256 of nothing.';

INSERT INTO ledger_head (last_block_id, last_transaction_id, last_account_event_id, last_account_id, last_created_at, last_hash)
VALUES (0, 0, 0, 999, clock_timestamp(), sha256(''));

-- The service sends its statements and their COMMIT at once, so the server counts what they wrote. A trigger or a rule that somebody
-- added may keep rows out without an error: then nothing is committed.
CREATE FUNCTION require_rows(written bigint, decided bigint) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
AS $body$
BEGIN
    IF written <> decided THEN
        RAISE EXCEPTION 'a statement wrote % rows where the service decided on %', written, decided
            USING HINT = 'Look for a trigger or a rule on the table of that statement which keeps rows out.';
    END IF;
END;
$body$;
