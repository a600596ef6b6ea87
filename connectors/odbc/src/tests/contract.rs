//! The contract suite over psqlodbc and a real server.

use std::sync::{Arc, OnceLock};

use wayleave_connector_api::{Collation, Connector};
use wayleave_connector_postgres::PostgresDialect;
use wayleave_connector_testkit::PostgresServer;
use wayleave_connector_testkit::contract::{
    Cannot, Database, Declared, Fixture, Kind, LONG, MONEY, Order, Settings, TableSpec, VERY_LONG,
};

use crate::dialect::KEPT;
use crate::{OdbcConnector, OdbcOptions};

struct Odbc;

/// A database of the shared server.
struct Agency {
    name: String,
}

fn server() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(|| PostgresServer::start().unwrap_or_else(|error| panic!("{error}")))
}

#[async_trait::async_trait]
impl Fixture for Odbc {
    fn name(&self) -> &'static str {
        "ODBC"
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
            Kind::Decimal { .. } | Kind::Text(Order::Language | Order::Loose) | Kind::TimestampZoned => None,
            Kind::Text(Order::Bytes) => Some(Declared::new(kind, "text").collated(Collation::Loose)),
            Kind::Binary => declared("bytea"),
            Kind::Date => declared("date"),
            Kind::Time => declared("time"),
            Kind::Timestamp => declared("timestamp"),
        }
    }

    fn cannot(&self) -> &'static [Cannot] {
        &[
            Cannot { what: &["* over *"], why: KEPT },
            Cannot {
                what: &[
                    "join by text",
                    "group by text",
                    "filter above a window",
                    "filtered count of a frame",
                    "sum of a range",
                    "running sum",
                    "nth_value",
                    "last_value",
                    "first_value",
                    "lead",
                    "lag",
                    "ntile",
                    "dense_rank",
                    "rank",
                    "row_number",
                    "aggregate of a join",
                    "aggregate above a limit",
                    "filtered aggregate",
                    "distinct aggregate",
                    "group by a constant",
                    "group nothing by a constant",
                    "aggregate nothing",
                    "group by",
                    "least and greatest text",
                    "except by text",
                    "order by text",
                    "aggregate everything",
                ],
                why: KEPT,
            },
            Cannot { what: &["grouping sets"], why: "the dialect groups by one set after the other" },
            Cannot { what: &["NUL in a text"], why: "no text of PostgreSQL's holds one" },
            Cannot { what: &["type text by language", "type text, loose"], why: "ODBC tells no collation" },
            Cannot { what: &["type timestamp with zone"], why: "ODBC drops its zone" },
            Cannot { what: &["keys"], why: "drivers tell of keys in too many ways" },
            Cannot { what: &["source identity"], why: "only a driver knows where a connection string leads" },
            Cannot {
                what: &["lost connection", "unreachable server", "wrong login", "encryption"],
                why: "the driver's own affair",
            },
        ]
    }

    async fn database(&self, name: &str, tables: &[TableSpec]) -> Box<dyn Database> {
        let name = format!("contract_{name}");
        let create = format!("CREATE DATABASE \"{name}\" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-GB'");
        server().execute("postgres", &create).await.unwrap();
        let client = server().connect(&name).await.unwrap();
        for statement in tables.iter().flat_map(|table| table.sql(self, &PostgresDialect, "public")) {
            client.execute(&statement).await.unwrap_or_else(|error| panic!("{error}: {statement}"));
        }
        Box::new(Agency { name })
    }
}

/// `UseDeclareFetch` makes the driver take rows as they are asked for; without it it takes all at once.
pub(super) fn connection_string(database: &str) -> String {
    format!(
        "Driver={{PostgreSQL Unicode}};Server=127.0.0.1;Port={};Database={database};UID=wayleave;PWD=password;\
         ApplicationName=wayleave;UseDeclareFetch=1;Fetch=1000;BoolsAsChar=0;ReadOnly=1",
        server().port()
    )
}

#[async_trait::async_trait]
impl Database for Agency {
    fn schema(&self) -> String {
        "public".to_owned()
    }

    fn connector(&self, settings: Settings) -> Arc<dyn Connector> {
        Arc::new(OdbcConnector::new(OdbcOptions {
            connection_string: connection_string(&self.name),
            max_connections: settings.max_connections,
            connect_timeout_ms: settings.budget_wait_ms,
            statement_timeout_ms: settings.statement_timeout_ms,
        }))
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
            "SELECT id INTO public.other FROM public.kept",
            "SELECT id FROM public.kept FOR UPDATE",
            "COMMIT",
            "SELECT 1; DELETE FROM public.kept",
            "",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    async fn running(&self) -> usize {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND state = 'active' \
             AND query NOT LIKE '%pg_stat_activity%' AND backend_type = 'client backend'",
            self.name
        );
        server().query_text("postgres", &sql).await.unwrap().unwrap().parse().unwrap()
    }
}

wayleave_connector_testkit::contract!(Odbc);
