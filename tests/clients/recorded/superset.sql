-- What Apache Superset asks beside SQLAlchemy's own questions, which the test of that library covers.
SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'pg_%' ORDER BY nspname;
SELECT datname FROM pg_database WHERE datistemplate = false;
SELECT proname FROM pg_proc;
SELECT current_schema();
SELECT pg_catalog.current_setting('transaction_isolation');
SELECT count(*) AS rowcount FROM (SELECT 1 AS one) AS x;
