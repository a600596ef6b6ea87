//! The contract suite over a real server.

use std::net::SocketAddr;

use wayleave_connector_api::{Collation, Connector};
use wayleave_connector_testkit::contract::{
    Cannot, Database, Declared, Fixture, Kind, LONG, MONEY, Network, Order, OwnType, Settings, TableSpec, Trust,
    VERY_LONG,
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
            Cannot {
                what: &["in list over float*", "sort over float*", "group over float*", "count distinct over float*"],
                why: FLOATS,
            },
            Cannot { what: &["least and greatest over float*"], why: FLOATS },
            Cannot { what: &["sum over float*"], why: "a sum of floats depends on the order of its rows" },
            Cannot { what: &["least and greatest over binary"], why: "PostgreSQL has no min and max of this type" },
        ]
    }

    fn own_types(&self) -> Vec<OwnType> {
        let text = |sql, values: &[(&'static str, &'static str)]| OwnType {
            sql,
            arrives: Some(DataType::Utf8),
            values: values.to_vec(),
        };
        let list = |sql, item, values: &[(&'static str, &'static str)]| OwnType {
            sql,
            arrives: Some(DataType::List(Arc::new(Field::new("item", item, true)))),
            values: values.to_vec(),
        };
        let unreadable = |sql| OwnType { sql, arrives: None, values: Vec::new() };
        vec![
            text("uuid", &[("'6F9619FF-8B86-D011-B42D-00C04FC964FF'", "6f9619ff-8b86-d011-b42d-00c04fc964ff")]),
            text("json", &[("'{\"a\": 1}'", "{\"a\": 1}")]),
            text("jsonb", &[("'{\"b\":2}'", "{\"b\": 2}")]),
            text("xml", &[("'<a/>'", "<a/>")]),
            text("inet", &[("'10.0.0.1'", "10.0.0.1/32")]),
            text("varchar(12)", &[("'abc '", "abc ")]),
            text("char(5)", &[("'ab'", "ab")]),
            text("name", &[("'nm'", "nm")]),
            text("mood", &[("'low'", "low")]),
            text("domain_of_text", &[("'9434765919'", "9434765919")]),
            OwnType {
                sql: "numeric",
                arrives: Some(DataType::Decimal128(38, 10)),
                values: vec![("1e-10", "0.0000000001"), ("-12345.5", "-12345.5000000000")],
            },
            list("integer[]", DataType::Int32, &[("'{1,NULL,3}'", "[1, , 3]"), ("'{}'", "[]")]),
            list("text[]", DataType::Utf8, &[("'{\"a,b\",\"c\\\"d\"}'", "[a,b, c\"d]")]),
            unreadable("interval"),
            unreadable("timetz"),
            unreadable("money"),
            unreadable("oid"),
            unreadable("int4range"),
            unreadable("domain_of_text[]"),
        ]
    }

    fn network(&self) -> Option<&dyn Network> {
        Some(self)
    }

    async fn database(&self, name: &str, tables: &[TableSpec]) -> Box<dyn Database> {
        let name = format!("contract_{name}");
        let create = format!("CREATE DATABASE \"{name}\" TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-GB'");
        server().execute("postgres", &create).await.unwrap();
        let loose = "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false)";
        server().execute(&name, loose).await.unwrap();
        let types = "CREATE TYPE mood AS ENUM ('low', 'high'); CREATE DOMAIN domain_of_text AS varchar(20); \
            CREATE SEQUENCE counted";
        server().execute(&name, types).await.unwrap();
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
            "SELECT nextval('public.counted')::int4",
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

#[async_trait::async_trait]
impl Network for Postgres {
    async fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], server().port()))
    }

    async fn over(&self, database: &str, address: SocketAddr, settings: Settings) -> Arc<dyn Connector> {
        let url = format!("postgres://wayleave:password@{address}/contract_{database}");
        Arc::new(PostgresConnector::new(with(settings, &url)).unwrap())
    }

    async fn wrong_logins(&self) -> Vec<Arc<dyn Connector>> {
        let url = server().url("postgres");
        [url.replace("password", "guess"), url.replace("wayleave:", "nobody:"), url.replace(":password", "")]
            .iter()
            .map(|url| Arc::new(PostgresConnector::new(options(url)).unwrap()) as Arc<dyn Connector>)
            .collect()
    }

    async fn encrypted(&self, trust: Trust) -> Arc<dyn Connector> {
        static SECURE: OnceLock<[PostgresServer; 2]> = OnceLock::new();
        let [secure, impostor] = SECURE.get_or_init(|| [(); 2].map(|()| PostgresServer::start_with_tls().unwrap()));
        let url = match trust {
            Trust::Right | Trust::OtherAuthority => secure.url("postgres"),
            Trust::OtherHost => secure.url("postgres?hostaddr=127.0.0.1").replace("@127.0.0.1", "@other.example"),
            Trust::Plain => server().url("postgres"),
        };
        let ca_file = if trust == Trust::OtherAuthority { impostor.ca_file() } else { secure.ca_file() };
        let options = PostgresOptions { tls: TlsMode::Require, ca_file: Some(ca_file), ..options(&url) };
        Arc::new(PostgresConnector::new(options).unwrap())
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
