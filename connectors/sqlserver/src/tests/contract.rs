//! The contract suite over a server that speaks TDS. It is no SQL Server: what it refuses, SQL Server refuses too, and
//! what it answers is by Microsoft's documentation.

use std::net::SocketAddr;
use std::sync::Mutex;

use arrow::datatypes::TimeUnit;
use wayleave_connector_api::Collation;
use wayleave_connector_testkit::contract::{
    Cannot, Database, Declared, Fixture, Kind, LONG, MONEY, Network, Order, OwnType, Settings, TableSpec, Trust,
};
use wayleave_tds_server::Encryption;

use super::*;
use crate::SqlServerDialect;

/// With the server of the database that was made last.
#[derive(Default)]
struct SqlServer {
    last: Mutex<Option<Arc<Server>>>,
}

/// A database, with a server of its own.
struct Agency {
    server: Arc<Server>,
}

const FLOATS: &str = "SQL Server and we round and order floats in ways that may differ";
const ORDER: &str = "SQL Server orders text by UTF-16 units and ignores blanks at its end";
const OTHERS: &str = "SQL Server has no type that is compared in the same way";
const CASE: &str = "SQL Server folds case by the rules of a collation";
const ROUNDS: &str = "SQL Server rounds a decimal result in another way";

#[async_trait::async_trait]
impl Fixture for SqlServer {
    fn name(&self) -> &'static str {
        "SQL Server"
    }

    fn declare(&self, kind: Kind) -> Option<Declared> {
        let declared = |sql| Some(Declared::new(kind, sql));
        let text = |sql| Some(Declared::new(kind, sql).collated(Collation::Loose));
        match kind {
            Kind::Boolean => declared("bit"),
            Kind::Int16 => declared("smallint"),
            Kind::Int32 => declared("int"),
            Kind::Int64 => declared("bigint"),
            Kind::Float32 => declared("real"),
            Kind::Float64 => declared("float"),
            MONEY => declared("decimal(10,2)"),
            LONG => declared("decimal(38,10)"),
            Kind::Decimal { .. } => None,
            Kind::Text(Order::Bytes) => text("nvarchar(max) COLLATE Latin1_General_100_BIN2"),
            Kind::Text(Order::Language) => text("nvarchar(400) COLLATE Latin1_General_100_CS_AS_KS_WS"),
            Kind::Text(Order::Loose) => text("nvarchar(4000) COLLATE SQL_Latin1_General_CP1_CI_AS"),
            Kind::Binary => declared("varbinary(max)"),
            Kind::Date => declared("date"),
            Kind::Time => declared("time(6)"),
            Kind::Timestamp => declared("datetime2(6)"),
            Kind::TimestampZoned => declared("datetimeoffset(6)"),
        }
    }

    fn cannot(&self) -> &'static [Cannot] {
        &[
            Cannot { what: &["type decimal(50,5)"], why: "SQL Server's decimals have at most 38 digits" },
            Cannot { what: &["NaN", "infinity"], why: "SQL Server has no such float" },
            Cannot { what: &["negative zero"], why: "a constant of it is no other than zero" },
            Cannot { what: &["* over float*"], why: FLOATS },
            Cannot { what: &["sum over float*"], why: "a sum of floats depends on the order of its rows" },
            Cannot { what: &["nth_value"], why: "SQL Server has no such window function" },
            Cannot { what: &["upper over text*", "lower over text*"], why: CASE },
            Cannot {
                what: &[
                    "order over text*",
                    "sort over text*",
                    "least and greatest over text*",
                    "least and greatest text",
                    "order by text",
                ],
                why: ORDER,
            },
            Cannot { what: &["* over binary"], why: OTHERS },
            Cannot { what: &["divide over decimal*", "modulo over decimal*"], why: ROUNDS },
            Cannot { what: &["name with number sign"], why: "a table of such a name is of one session only" },
            Cannot { what: &["grouping sets"], why: "the dialect groups by one set after the other" },
        ]
    }

    fn own_types(&self) -> Vec<OwnType> {
        let read = |sql, arrives, values: &[(&'static str, &'static str)]| OwnType {
            sql,
            arrives: Some(arrives),
            values: values.to_vec(),
        };
        let nanos = |zone: Option<&str>| DataType::Timestamp(TimeUnit::Nanosecond, zone.map(Into::into));
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        vec![
            read("tinyint", DataType::Int16, &[("0", "0"), ("255", "255")]),
            read(
                "money",
                DataType::Decimal128(19, 4),
                &[("-922337203685477.5808", "-922337203685477.5808"), ("922337203685477.5807", "922337203685477.5807")],
            ),
            read("smallmoney", DataType::Decimal128(10, 4), &[("-214748.3648", "-214748.3648")]),
            read("varchar(12)", DataType::Utf8, &[("'abc '", "abc "), ("'é'", "é")]),
            read("char(5)", DataType::Utf8, &[("'ab'", "ab")]),
            read("nchar(5)", DataType::Utf8, &[("N'ab'", "ab")]),
            read(
                "uniqueidentifier",
                DataType::Utf8,
                &[("'6f9619ff-8b86-d011-b42d-00c04fc964ff'", "6F9619FF-8B86-D011-B42D-00C04FC964FF")],
            ),
            read("xml", DataType::Utf8, &[("N'<a/>'", "<a/>")]),
            read("datetime", micros.clone(), &[("'2024-02-29T12:00:00.003'", "2024-02-29T12:00:00.003")]),
            read("smalldatetime", micros, &[("'2024-02-29T12:34:00'", "2024-02-29T12:34:00")]),
            read("datetime2(7)", nanos(None), &[("'2024-02-29T12:00:00.1234567'", "2024-02-29T12:00:00.123456700")]),
            read(
                "datetimeoffset(7)",
                nanos(Some("UTC")),
                &[("'2024-02-29T12:00:00.1234567+05:30'", "2024-02-29T06:30:00.123456700Z")],
            ),
            read("time(7)", DataType::Time64(TimeUnit::Nanosecond), &[("'23:59:59.9999999'", "23:59:59.999999900")]),
        ]
    }

    fn network(&self) -> Option<&dyn Network> {
        Some(self)
    }

    async fn database(&self, name: &str, tables: &[TableSpec]) -> Box<dyn Database> {
        let options = Options { database: name.to_owned(), ..Options::default() };
        let server = Arc::new(Server::start(options).unwrap());
        for statement in tables.iter().flat_map(|table| table.sql(self, &SqlServerDialect, "dbo")) {
            server.execute_ddl(&statement).unwrap_or_else(|error| panic!("{error:?}: {statement}"));
        }
        *self.last.lock().unwrap() = Some(Arc::clone(&server));
        Box::new(Agency { server })
    }
}

#[async_trait::async_trait]
impl Database for Agency {
    fn schema(&self) -> String {
        "dbo".to_owned()
    }

    fn connector(&self, settings: Settings) -> Arc<dyn Connector> {
        Arc::new(SqlServerConnector::new(with(settings, &self.server.url())).unwrap())
    }

    async fn execute(&self, sql: &str) {
        self.server.execute_ddl(sql).unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    }

    fn writes(&self) -> Vec<String> {
        [
            "INSERT INTO [dbo].[kept] OUTPUT inserted.[id] VALUES (2)",
            "UPDATE [dbo].[kept] SET [id] = 2",
            "DELETE FROM [dbo].[kept]",
            "DROP TABLE [dbo].[kept]",
            "SELECT [id] INTO [dbo].[other] FROM [dbo].[kept]",
            "SELECT 1 AS [id]; DELETE FROM [dbo].[kept]",
            "SELECT 1 AS [id] DELETE FROM [dbo].[kept]",
            "EXEC (N'DELETE FROM [dbo].[kept]')",
            "",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// A connection whose statement was ended is closed; one that was asked of the catalog last is idle.
    async fn running(&self) -> usize {
        let mut last = std::collections::BTreeMap::new();
        for request in self.server.log().requests() {
            last.insert(request.session, request.text);
        }
        let idle = last.values().filter(|text| !text.starts_with("/* wayleave")).count();
        self.server.connections().saturating_sub(idle)
    }
}

#[async_trait::async_trait]
impl Network for SqlServer {
    async fn address(&self) -> SocketAddr {
        let last = self.last.lock().unwrap();
        SocketAddr::from(([127, 0, 0, 1], last.as_ref().unwrap().port()))
    }

    async fn over(&self, database: &str, address: SocketAddr, settings: Settings) -> Arc<dyn Connector> {
        let url = format!("sqlserver://wayleave:Passw0rd!@{address}/{database}");
        Arc::new(SqlServerConnector::new(with(settings, &url)).unwrap())
    }

    async fn wrong_logins(&self) -> Vec<Arc<dyn Connector>> {
        let server = server("");
        let url = server.url();
        *self.last.lock().unwrap() = Some(server);
        [url.replace("Passw0rd", "guess"), url.replace("wayleave:", "nobody:"), url.replace(":Passw0rd%21", "")]
            .iter()
            .map(|url| Arc::new(SqlServerConnector::new(options(url)).unwrap()) as Arc<dyn Connector>)
            .collect()
    }

    async fn encrypted(&self, trust: Trust) -> Arc<dyn Connector> {
        let encryption = if trust == Trust::Plain { Encryption::NotSupported } else { Encryption::LoginOnly };
        let server = Arc::new(Server::start(Options { encryption, ..Options::default() }).unwrap());
        let impostor = Server::start(Options::default()).unwrap();
        // A certificate file is read when the connector is made, and again for each connection.
        let ca_file = if trust == Trust::OtherAuthority { &impostor } else { &server }.ca_file();
        let directory = std::env::temp_dir().join(format!("wayleave-ca-{}-{trust:?}.pem", std::process::id()));
        std::fs::copy(ca_file, &directory).unwrap();
        let url = if trust == Trust::OtherHost {
            let other = behind_another_address(server.port()).await;
            server.url().replace(&format!("127.0.0.1:{}", server.port()), &other.to_string())
        } else {
            server.url()
        };
        *self.last.lock().unwrap() = Some(server);
        let options = SqlServerOptions { tls: TlsMode::Require, ca_file: Some(directory), ..options(&url) };
        Arc::new(SqlServerConnector::new(options).unwrap())
    }
}

/// An address that the server's certificate is not made out to, and behind which it stands.
async fn behind_another_address(port: u16) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.2:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            // It ends as either side does.
            let _ended = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
    });
    address
}

fn with(settings: Settings, url: &str) -> SqlServerOptions {
    SqlServerOptions {
        max_connections: settings.max_connections,
        connect_timeout_ms: settings.budget_wait_ms,
        statement_timeout_ms: settings.statement_timeout_ms,
        ..options(url)
    }
}

wayleave_connector_testkit::contract!(SqlServer::default());
