//! The contract suite over a real server.

use std::net::SocketAddr;

use wayleave_connector_api::{Collation, Connector};
use wayleave_connector_testkit::contract::{
    Cannot, Database, Declared, Fixture, Kind, LONG, MONEY, Network, Order, OwnType, Settings, TableSpec, Trust,
    VERY_LONG,
};

use super::*;
use crate::MysqlDialect;

struct Mariadb;

/// A schema of the shared server.
struct Agency {
    name: String,
}

const FLOATS: &str = "floats are rounded and compared in another way at the source";
const QUOTIENTS: &str = "the source rounds a quotient of decimals, to a scale of its own";
const CASE: &str = "the source folds case by tables of its own";

#[async_trait::async_trait]
impl Fixture for Mariadb {
    fn name(&self) -> &'static str {
        "MariaDB"
    }

    fn declare(&self, kind: Kind) -> Option<Declared> {
        let declared = |sql| Some(Declared::new(kind, sql));
        match kind {
            Kind::Boolean => declared("boolean"),
            Kind::Int16 => declared("smallint"),
            Kind::Int32 => declared("int"),
            Kind::Int64 => declared("bigint"),
            Kind::Float32 => declared("float"),
            Kind::Float64 => declared("double"),
            MONEY => declared("decimal(10,2)"),
            LONG => declared("decimal(38,10)"),
            VERY_LONG => declared("decimal(50,5)"),
            Kind::Decimal { .. } => None,
            Kind::Text(Order::Bytes) => declared("mediumtext COLLATE utf8mb4_nopad_bin"),
            Kind::Text(Order::Language) => {
                Some(Declared::new(kind, "text COLLATE utf8mb4_uca1400_nopad_as_cs").collated(Collation::Loose))
            }
            // Without case and accents, and trailing blanks do not count.
            Kind::Text(Order::Loose) => {
                Some(Declared::new(kind, "text COLLATE utf8mb4_general_ci").collated(Collation::Loose))
            }
            Kind::Binary => declared("mediumblob"),
            Kind::Date => declared("date"),
            Kind::Time => declared("time(6)"),
            Kind::Timestamp => declared("datetime(6)"),
            Kind::TimestampZoned => None,
        }
    }

    fn cannot(&self) -> &'static [Cannot] {
        &[
            Cannot { what: &["type timestamp with zone"], why: "a TIMESTAMP ends in 2038" },
            Cannot { what: &["NaN", "infinity"], why: "MariaDB has none" },
            Cannot { what: &["negative zero"], why: "MariaDB stores it as 0" },
            Cannot { what: &["name with Unicode"], why: "no name of MariaDB's has a character beyond the first plane" },
            Cannot { what: &["full join"], why: "MariaDB and MySQL have no full join" },
            Cannot { what: &["literal over float*"], why: "the source has no NaN, no infinity and no negative zero" },
            Cannot { what: &["lag"], why: "MariaDB's lag and lead take no value for where there is no row" },
            Cannot { what: &["grouping sets"], why: "the dialect groups by one set after the other" },
            Cannot { what: &["in list over boolean"], why: "a list of booleans is compared here" },
            Cannot { what: &["divide over decimal*"], why: QUOTIENTS },
            Cannot {
                what: &["* over text by bytes", "* over binary"],
                why: "what is made of a long text could be too long for the source",
            },
            Cannot {
                what: &["* over text by bytes", "* over binary"],
                why: "the source sorts and groups long values by their beginning",
            },
            Cannot { what: &["upper over text*", "lower over text*"], why: CASE },
            Cannot {
                what: &["in list over float*", "sort over float*", "group over float*", "count distinct over float*"],
                why: FLOATS,
            },
            Cannot { what: &["least and greatest over float*"], why: FLOATS },
            Cannot { what: &["sum over float*"], why: "a sum of floats depends on the order of its rows" },
        ]
    }

    fn own_types(&self) -> Vec<OwnType> {
        let of = |sql, arrives, values: &[(&'static str, &'static str)]| OwnType {
            sql,
            arrives: Some(arrives),
            values: values.to_vec(),
        };
        let text = |sql, values: &[(&'static str, &'static str)]| of(sql, DataType::Utf8, values);
        let unreadable = |sql| OwnType { sql, arrives: None, values: Vec::new() };
        let zoned = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, Some("UTC".into()));
        vec![
            of("tinyint", DataType::Int16, &[("-128", "-128")]),
            of("tinyint unsigned", DataType::Int16, &[("255", "255")]),
            of("smallint unsigned", DataType::Int32, &[("65535", "65535")]),
            of("mediumint", DataType::Int32, &[("-8388608", "-8388608")]),
            of("int unsigned", DataType::Int64, &[("4294967295", "4294967295")]),
            of("int(9) zerofill", DataType::Int64, &[("7", "7")]),
            of("bigint unsigned", DataType::Decimal128(20, 0), &[("18446744073709551615", "18446744073709551615")]),
            of("bit(1)", DataType::Boolean, &[("b'1'", "true"), ("b'0'", "false")]),
            of("bit(9)", DataType::Int64, &[("b'101010101'", "341")]),
            of("bit(64)", DataType::Decimal128(20, 0), &[("-1", "18446744073709551615")]),
            of("year", DataType::Int16, &[("2155", "2155"), ("1901", "1901")]),
            of("timestamp(6) NULL", zoned, &[("'2038-01-19 03:14:07.999999'", "2038-01-19T03:14:07.999999Z")]),
            text("varchar(12) CHARACTER SET latin1", &[("'é€ '", "é€ ")]),
            text("char(5)", &[("'ab '", "ab")]),
            text("longtext", &[("'long'", "long")]),
            text("enum('low','high')", &[("'high'", "high")]),
            text("set('a','b')", &[("'b,a'", "a,b")]),
            text("json", &[("'{\"a\": 1}'", "{\"a\": 1}")]),
            text("uuid", &[("'6F9619FF-8B86-D011-B42D-00C04FC964FF'", "6f9619ff-8b86-d011-b42d-00c04fc964ff")]),
            text("inet4", &[("'10.0.0.1'", "10.0.0.1")]),
            text("inet6", &[("'::1'", "::1")]),
            of("binary(4)", DataType::Binary, &[("'ab'", "61620000")]),
            of("varbinary(9)", DataType::Binary, &[("'ab'", "6162")]),
            unreadable("point"),
            unreadable("geometry"),
        ]
    }

    fn network(&self) -> Option<&dyn Network> {
        Some(self)
    }

    async fn database(&self, name: &str, tables: &[TableSpec]) -> Box<dyn Database> {
        let name = format!("contract_{name}");
        server().create_database(&name).await.unwrap();
        let client = server().connect(&name).await.unwrap();
        // As a session of ours reads what the dialect writes, and in a clock that the suite's moments stand in.
        let session = "SET NAMES utf8mb4 COLLATE utf8mb4_nopad_bin; SET sql_mode = 'STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES'; \
            SET time_zone = '+00:00'; CREATE SEQUENCE counted; SET GLOBAL max_allowed_packet = 67108864";
        client.execute(session).await.unwrap();
        // Who sees no other schema.
        let login = format!("CREATE USER {name}@'%' IDENTIFIED BY 'password'; GRANT ALL ON {name}.* TO {name}@'%'");
        client.execute(&login).await.unwrap();
        let client = server().connect(&name).await.unwrap();
        client.execute(session.split("CREATE").next().unwrap()).await.unwrap();
        for statement in tables.iter().flat_map(|table| table.sql(self, &MysqlDialect, &name)) {
            client
                .execute(&statement)
                .await
                .unwrap_or_else(|error| panic!("{error}: {}", statement.chars().take(2_000).collect::<String>()));
        }
        Box::new(Agency { name })
    }
}

#[async_trait::async_trait]
impl Database for Agency {
    fn schema(&self) -> String {
        self.name.clone()
    }

    fn connector(&self, settings: Settings) -> Arc<dyn Connector> {
        Arc::new(MysqlConnector::new(with(settings, &login(&self.name, server().port()))).unwrap())
    }

    async fn execute(&self, sql: &str) {
        server().execute(&self.name, sql).await.unwrap();
    }

    fn writes(&self) -> Vec<String> {
        [
            "INSERT INTO @.kept VALUES (2) RETURNING id",
            "UPDATE @.kept SET id = 2",
            "DELETE FROM @.kept RETURNING id",
            "DROP TABLE @.kept",
            "CREATE TABLE @.other (id int)",
            "CREATE TEMPORARY TABLE @.other (id int)",
            "REPLACE INTO @.kept VALUES (3) RETURNING id",
            "SELECT nextval(@.counted)",
            "SET SESSION TRANSACTION READ WRITE",
            "SELECT 1; DELETE FROM @.kept",
        ]
        .map(|sql| sql.replace('@', &self.name))
        .to_vec()
    }

    async fn running(&self) -> usize {
        let sql = format!(
            "SELECT count(*) FROM information_schema.processlist WHERE db = '{}' AND info LIKE '/* wayleave%'",
            self.name
        );
        server().query_text("", &sql).await.unwrap().unwrap().parse().unwrap()
    }
}

#[async_trait::async_trait]
impl Network for Mariadb {
    async fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], server().port()))
    }

    async fn over(&self, database: &str, address: SocketAddr, settings: Settings) -> Arc<dyn Connector> {
        let name = format!("contract_{database}");
        let url = format!("mysql://{name}:password@{address}/{name}");
        Arc::new(MysqlConnector::new(with(settings, &url)).unwrap())
    }

    async fn wrong_logins(&self) -> Vec<Arc<dyn Connector>> {
        let url = server().url("mysql");
        [url.replace("password", "guess"), url.replace("wayleave:", "nobody:"), url.replace(":password", "")]
            .iter()
            .map(|url| Arc::new(MysqlConnector::new(options(url)).unwrap()) as Arc<dyn Connector>)
            .collect()
    }

    async fn encrypted(&self, trust: Trust) -> Arc<dyn Connector> {
        static SECURE: OnceLock<[MariadbServer; 2]> = OnceLock::new();
        let [secure, impostor] = SECURE.get_or_init(|| [(); 2].map(|()| MariadbServer::start_with_tls().unwrap()));
        let url = match trust {
            Trust::Right | Trust::OtherAuthority => secure.url("mysql"),
            // The certificate is made out to another address of this machine.
            Trust::OtherHost => secure.url("mysql").replace("127.0.0.1", "127.0.0.2"),
            Trust::Plain => server().url("mysql"),
        };
        let ca_file = if trust == Trust::OtherAuthority { impostor.ca_file() } else { secure.ca_file() };
        let options = MysqlOptions { tls: TlsMode::Require, ca_file: Some(ca_file), ..options(&url) };
        Arc::new(MysqlConnector::new(options).unwrap())
    }
}

fn login(name: &str, port: u16) -> String {
    format!("mysql://{name}:password@127.0.0.1:{port}/{name}")
}

fn with(settings: Settings, url: &str) -> MysqlOptions {
    MysqlOptions {
        max_connections: settings.max_connections,
        connect_timeout_ms: settings.budget_wait_ms,
        statement_timeout_ms: settings.statement_timeout_ms,
        ..options(url)
    }
}

wayleave_connector_testkit::contract!(Mariadb);
