//! The contract suite over a real server.

use wayleave_connector_api::{Collation, Connector};
use wayleave_connector_testkit::contract::{
    Cannot, Database, Declared, Fixture, Kind, LONG, MONEY, Order, Settings, TableSpec, VERY_LONG,
};

use super::*;
use crate::PostgresDialect;

struct Postgres;

/// A database of the shared server.
struct Agency {
    name: String,
}

const FLOATS: &str = "PostgreSQL compares NaN and negative zero in another way";
const CASE: &str = "PostgreSQL folds case by the rules of the column's language";

#[async_trait::async_trait]
impl Fixture for Postgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn declare(&self, kind: Kind) -> Option<Declared> {
        let declared = |sql| Some(Declared::new(kind, sql));
        match kind {
            Kind::Boolean => declared("boolean"),
            Kind::Int16 => declared("smallint"),
            Kind::Int32 => declared("integer"),
            Kind::Int64 => declared("bigint"),
            Kind::Float32 => declared("real"),
            Kind::Float64 => declared("double precision"),
            MONEY => declared("numeric(10,2)"),
            LONG => declared("numeric(38,10)"),
            VERY_LONG => declared("numeric(50,5)"),
            Kind::Decimal { .. } => None,
            Kind::Text(Order::Bytes) => declared("text COLLATE \"C\""),
            // The database's own order, as nearly everywhere.
            Kind::Text(Order::Language) => Some(Declared::new(kind, "text").collated(Collation::EqualityOnly)),
            Kind::Text(Order::Loose) => Some(Declared::new(kind, "text COLLATE loose").collated(Collation::Loose)),
            Kind::Binary => declared("bytea"),
            Kind::Date => declared("date"),
            Kind::Time => declared("time"),
            Kind::Timestamp => declared("timestamp"),
            Kind::TimestampZoned => declared("timestamptz"),
        }
    }

    fn cannot(&self) -> &'static [Cannot] {
        &[
            Cannot { what: &["NUL in a text"], why: "no text of PostgreSQL's holds one" },
            Cannot { what: &["upper over text*", "lower over text*"], why: CASE },
            Cannot { what: &["in list over float*"], why: FLOATS },
        ]
    }

    async fn database(&self, name: &str, tables: &[TableSpec]) -> Box<dyn Database> {
        let name = format!("contract_{name}");
        let create = format!("CREATE DATABASE \"{name}\" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-GB'");
        server().execute("postgres", &create).await.unwrap();
        let loose = "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false)";
        server().execute(&name, loose).await.unwrap();
        let client = server().connect(&name).await.unwrap();
        for statement in tables.iter().flat_map(|table| table.sql(self, &PostgresDialect, "public")) {
            client.execute(&statement).await.unwrap_or_else(|error| panic!("{error}: {statement}"));
        }
        Box::new(Agency { name })
    }
}

#[async_trait::async_trait]
impl Database for Agency {
    fn schema(&self) -> String {
        "public".to_owned()
    }

    fn connector(&self, settings: Settings) -> Arc<dyn Connector> {
        Arc::new(PostgresConnector::new(with(settings, &server().url(&self.name))).unwrap())
    }

    async fn execute(&self, sql: &str) {
        server().execute(&self.name, sql).await.unwrap();
    }

    fn writes(&self) -> Vec<String> {
        [
            "INSERT INTO public.kept VALUES (2) RETURNING id",
            "UPDATE public.kept SET id = 2 RETURNING id",
            "DELETE FROM public.kept RETURNING id",
            "DROP TABLE public.kept",
            "CREATE TABLE public.other (id int)",
            "WITH gone AS (DELETE FROM public.kept RETURNING id) SELECT id FROM gone",
            "SELECT id FROM public.kept FOR UPDATE",
            "SELECT lo_create(0)::int4",
            "SET default_transaction_read_only = off",
            "SELECT 1) TO STDOUT; DELETE FROM public.kept; COPY (SELECT 1",
            "SELECT 1; DELETE FROM public.kept",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    async fn running(&self) -> usize {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND state = 'active' \
             AND application_name LIKE 'wayleave%'",
            self.name
        );
        server().query_text("postgres", &sql).await.unwrap().unwrap().parse().unwrap()
    }
}

fn with(settings: Settings, url: &str) -> PostgresOptions {
    PostgresOptions {
        max_connections: settings.max_connections,
        connect_timeout_ms: settings.budget_wait_ms,
        statement_timeout_ms: settings.statement_timeout_ms,
        ..options(url)
    }
}

wayleave_connector_testkit::contract!(Postgres);
