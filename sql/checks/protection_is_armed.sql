-- The book's tables are as the scripts made them: plain tables without rules, row security or inheritance. Every trigger of
-- 0008_append_only.sql always fires, and refuses. On a worker of Citus this also sees the shards there, such as account_102008.
-- Each row is a table or a trigger that is not so, and what is wrong with it.
SELECT found.object
     , found.fault
  FROM (SELECT expected.table_name AS object
             , CASE WHEN class.relkind IS DISTINCT FROM 'r' OR class.relpersistence <> 'p' THEN 'is not a plain table'
                    WHEN class.relrowsecurity THEN 'has row security'
                    WHEN EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE ev_class = class.oid) THEN 'has a rule'
                    WHEN EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE class.oid IN (inhrelid, inhparent)) THEN 'inherits, or is inherited from'
               END AS fault
          FROM (VALUES ('currency'), ('account'), ('hold'), ('transaction_log'), ('account_log'), ('ledger_head'), ('ledger_block')) AS expected (table_name)
          LEFT JOIN pg_catalog.pg_class AS class ON class.oid = pg_catalog.to_regclass(expected.table_name)::pg_catalog.oid
         UNION ALL
        SELECT expected.trigger_name || relation.shard
             , CASE WHEN armed.tgname IS NULL THEN 'is missing on ' || expected.table_name || relation.shard
                    WHEN armed.tgenabled <> 'A' THEN 'does not fire always'
                    -- Bits of tgtype: 1 for each row, 2 before, 8 DELETE, 16 UPDATE, 32 TRUNCATE.
                    WHEN armed.tgtype <> expected.tgtype THEN 'fires on something else'
                    WHEN COALESCE((SELECT pg_catalog.string_agg(attname::pg_catalog.text, ' ' ORDER BY attname)
                                     FROM pg_catalog.pg_attribute
                                    WHERE attrelid = armed.tgrelid
                                      AND attnum = ANY (armed.tgattr)), '') <> expected.columns THEN 'fires on other columns'
                    -- Only a row trigger on columns has a condition: one of them changes.
                    WHEN COALESCE(pg_catalog.substring(pg_catalog.pg_get_triggerdef(armed.oid, true), ' WHEN \((.*)\) EXECUTE FUNCTION '), '')
                         <> COALESCE((SELECT pg_catalog.string_agg(pg_catalog.format('old.%1$s IS DISTINCT FROM new.%1$s', attname), ' OR ' ORDER BY place)
                                        FROM pg_catalog.unnest(armed.tgattr) WITH ORDINALITY AS guarded (attnum, place)
                                        JOIN pg_catalog.pg_attribute USING (attnum)
                                       WHERE attrelid = armed.tgrelid
                                         AND expected.tgtype & 1 = 1), '') THEN 'fires on a condition only'
                    -- The sha256 of refuse_change's body: any other body may let a change through.
                    WHEN pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(function.prosrc, 'UTF8')), 'hex')
                         <> '454eff58b194f90a823e11e8e9081ecfb598670cc7287146e3126a45061187ec' THEN 'does not refuse'
               END
          FROM (VALUES ('transaction_log', 'transaction_log_statement_is_append_only', 26, ''),
                       ('transaction_log', 'transaction_log_row_is_append_only', 27, ''),
                       ('transaction_log', 'transaction_log_is_never_truncated', 34, ''),
                       ('account_log', 'account_log_statement_is_append_only', 26, ''),
                       ('account_log', 'account_log_row_is_append_only', 27, ''),
                       ('account_log', 'account_log_is_never_truncated', 34, ''),
                       ('ledger_block', 'ledger_block_statement_is_append_only', 26, ''),
                       ('ledger_block', 'ledger_block_row_is_append_only', 27, ''),
                       ('ledger_block', 'ledger_block_is_never_truncated', 34, ''),
                       ('account', 'account_statement_is_never_removed', 10, ''),
                       ('account', 'account_row_is_never_removed', 11, ''),
                       ('account', 'account_is_never_truncated', 34, ''),
                       ('account', 'account_statement_keeps_its_identity', 18, 'account_id created_at currency kind'),
                       ('account', 'account_row_keeps_its_identity', 19, 'account_id created_at currency kind'),
                       ('hold', 'hold_statement_is_never_removed', 10, ''),
                       ('hold', 'hold_row_is_never_removed', 11, ''),
                       ('hold', 'hold_is_never_truncated', 34, ''),
                       ('hold', 'hold_statement_keeps_its_identity', 18, 'account_id amount created_at currency expires_at hold_id metadata reference to_account_id'),
                       ('hold', 'hold_row_keeps_its_identity', 19, 'account_id amount created_at currency expires_at hold_id metadata reference to_account_id'),
                       ('currency', 'currency_statement_is_never_removed', 10, ''),
                       ('currency', 'currency_row_is_never_removed', 11, ''),
                       ('currency', 'currency_is_never_truncated', 34, ''),
                       ('currency', 'currency_statement_keeps_its_identity', 18, 'code minor_unit numeric_code'),
                       ('currency', 'currency_row_keeps_its_identity', 19, 'code minor_unit numeric_code'),
                       ('ledger_head', 'ledger_head_statement_is_never_removed', 10, ''),
                       ('ledger_head', 'ledger_head_row_is_never_removed', 11, ''),
                       ('ledger_head', 'ledger_head_is_never_truncated', 34, '')) AS expected (table_name, trigger_name, tgtype, columns)
          JOIN (SELECT attrelid
                     , pg_catalog.regexp_replace(name, '_[0-9]+$', '') AS table_name
                     , COALESCE(pg_catalog.substring(name, '_[0-9]+$'), '') AS shard
                  FROM (SELECT attrelid, attrelid::pg_catalog.regclass::pg_catalog.text AS name
                          FROM pg_catalog.pg_attribute -- Citus hides its shards in pg_class
                         WHERE attnum = 1) AS found) AS relation
            ON relation.table_name = expected.table_name
           AND (relation.shard = '' OR expected.tgtype <> 34) -- Citus gives no shard a trigger on TRUNCATE
          LEFT JOIN pg_catalog.pg_trigger AS armed
            ON armed.tgrelid = relation.attrelid
           AND armed.tgname = expected.trigger_name || relation.shard
          LEFT JOIN pg_catalog.pg_proc AS function ON function.oid = armed.tgfoid) AS found
 WHERE found.fault IS NOT NULL
 ORDER BY found.object;
