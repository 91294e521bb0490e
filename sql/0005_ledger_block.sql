-- 0005_ledger_block: a chain of hashes over the log.
--
-- Why    Whoever owns the tables can switch triggers off and rewrite the log. With this chain it shows: each write transaction
--        adds a block, whose hash covers the block before it and every column of its own log rows. A row that is changed,
--        removed, added or renumbered breaks the chain at its block; rewriting the whole chain after it changes the head,
--        which an outsider can keep (GET /api/audit_head) and compare later (verify --against).
-- Locks  A new table that nobody uses yet: nothing waits.
-- Older  Safe: the first version of the service came with this script.
-- Undo   DROP TABLE ledger_block; DROP FUNCTION ledger_block_hash;

CREATE TABLE ledger_block (
    last_transaction_id bigint      NOT NULL,
    previous_hash       bytea       NOT NULL,
    hash                bytea       NOT NULL,
    created_at          timestamptz NOT NULL,

    CONSTRAINT ledger_block_pk PRIMARY KEY (last_transaction_id),
    CONSTRAINT ledger_block_hashes_are_sha256 CHECK (octet_length(previous_hash) = 32 AND octet_length(hash) = 32)
);

COMMENT ON TABLE ledger_block IS 'A row per write transaction: its log rows are those after the block before it, up to last_transaction_id.';

-- The one definition of a block's hash, for the service that writes it and for everybody who verifies it; null for a block
-- without rows. record_send frames every value with its type and length, so no text can be moved from one column to the next
-- unseen. Texts go in as UTF-8 bytes, whatever encoding the session asks for. In plpgsql, because that plans the query once per
-- session; a function in SQL is parsed and planned anew for every block.
CREATE FUNCTION ledger_block_hash(previous_hash bytea, after_transaction_id bigint, last_transaction_id bigint) RETURNS bytea
    LANGUAGE plpgsql STABLE
AS $body$
BEGIN
    RETURN (SELECT sha256($1 || string_agg(record_send(ROW(log.transaction_id
                                                         , convert_to(log.type, 'UTF8')
                                                         , log.from_account_id
                                                         , log.to_account_id
                                                         , log.amount
                                                         , convert_to(log.currency, 'UTF8')
                                                         , log.from_balance_after
                                                         , log.to_balance_after
                                                         , convert_to(log.client_id, 'UTF8')
                                                         , convert_to(log.idempotency_key, 'UTF8')
                                                         , convert_to(log.reference, 'UTF8')
                                                         , convert_to(log.metadata::text, 'UTF8')
                                                         , log.created_at)), ''::bytea ORDER BY log.transaction_id))
              FROM transaction_log AS log
             WHERE log.transaction_id > $2
               AND log.transaction_id <= $3);
END;
$body$;
