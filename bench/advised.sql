-- psql: PostgreSQL's settings for a book of millions of rows (docs/deploy.md). :memory is that of the machine in MB.
SELECT least(:memory / 4, 8192) || 'MB' AS buffers \gset
ALTER SYSTEM SET shared_buffers = :'buffers';
ALTER SYSTEM SET max_wal_size = '4GB';
ALTER SYSTEM SET checkpoint_timeout = '15min';
