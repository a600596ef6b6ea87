//! tiberius as a client: every type, long values, errors, parameters, cancellation in both shapes, faults.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops where it fails"
)]

use std::time::Duration;

use futures::TryStreamExt;
use tiberius::{AuthMethod, Client, Config, EncryptionLevel, QueryItem, Row};
use tokio::net::TcpStream;
use tokio_util::compat::{Compat, TokioAsyncWriteCompatExt};
use wayleave_tds_server::{
    Acknowledgement, Encryption, Fault, Options, PacketSplit, RequestKind, Server, SnapshotIsolation,
};

type Connection = Client<Compat<TcpStream>>;

fn config(server: &Server) -> Config {
    let mut config = Config::new();
    config.host("127.0.0.1");
    config.port(server.port());
    config.database("care");
    config.authentication(AuthMethod::sql_server("wayleave", "Passw0rd!"));
    config.encryption(EncryptionLevel::Required);
    config.trust_cert_ca(server.ca_file().to_str().unwrap());
    config
}

async fn connected(config: Config) -> Result<Connection, tiberius::error::Error> {
    let socket = TcpStream::connect(config.get_addr()).await.unwrap();
    socket.set_nodelay(true).unwrap();
    Client::connect(config, socket.compat_write()).await
}

async fn connect(server: &Server) -> Connection {
    connected(config(server)).await.unwrap()
}

async fn rows(client: &mut Connection, sql: &str) -> Vec<Row> {
    client.simple_query(sql).await.unwrap().into_first_result().await.unwrap()
}

async fn refused(client: &mut Connection, sql: &str) -> (u32, u8, u8, String) {
    let error = match client.simple_query(sql).await {
        Err(error) => error,
        Ok(stream) => stream.into_results().await.err().unwrap_or_else(|| panic!("taken: {sql}")),
    };
    match error {
        tiberius::error::Error::Server(token) => {
            (token.code(), token.class(), token.state(), token.message().to_owned())
        }
        other => panic!("{sql}: {other}"),
    }
}

#[tokio::test]
async fn a_login_over_tls_runs_a_batch() {
    let server = Server::start(Options::default()).unwrap();
    server.execute_ddl("CREATE TABLE dbo.[People] (id int NOT NULL PRIMARY KEY, name nvarchar(40) NULL)").unwrap();
    server.execute_ddl("INSERT INTO dbo.People VALUES (1, N'Åsa'), (2, NULL)").unwrap();
    let mut client = connect(&server).await;
    let found =
        rows(&mut client, "SELECT p.id, p.name FROM dbo.People AS p WHERE p.name = N'ÅSA  ' ORDER BY p.id").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].get::<i32, _>("id"), Some(1));
    assert_eq!(found[0].get::<&str, _>("name"), Some("Åsa"));
    assert!(server.log().logins()[0].encrypted);
    assert_eq!(server.log().requests()[0].kind, RequestKind::Batch);
}

const EVERYTHING: &str = include_str!("everything.sql");

#[tokio::test]
async fn every_type_arrives_with_its_extremes_and_with_null() {
    let server = Server::start(Options::default()).unwrap();
    server.execute_ddl(EVERYTHING).unwrap();
    for split in [PacketSplit::Whole, PacketSplit::Payload(1), PacketSplit::Payload(7), PacketSplit::Writes(3)] {
        server.faults().split_packets(split);
        let mut client = connect(&server).await;
        let found = rows(&mut client, "SELECT * FROM dbo.everything ORDER BY id").await;
        let [least, greatest, nulls] = found.as_slice() else { panic!("{}", found.len()) };
        assert_eq!(least.get::<bool, _>("c_bit"), Some(false));
        assert_eq!(greatest.get::<u8, _>("c_tinyint"), Some(255));
        assert_eq!(least.get::<i16, _>("c_smallint"), Some(i16::MIN));
        assert_eq!(least.get::<i32, _>("c_int"), Some(i32::MIN));
        assert_eq!((least.get("c_bigint"), greatest.get("c_bigint")), (Some(i64::MIN), Some(i64::MAX)));
        assert_eq!(greatest.get::<f32, _>("c_real"), Some(3.4e38));
        assert_eq!(least.get::<f64, _>("c_float"), Some(-1.79e308));
        let numeric = greatest.get::<tiberius::numeric::Numeric, _>("c_decimal").unwrap();
        assert_eq!((numeric.value(), numeric.scale()), (10i128.pow(38) - 1, 10));
        assert_eq!(
            least.get::<rust_decimal::Decimal, _>("c_numeric").map(|number| number.to_string()).as_deref(),
            Some("-999.99")
        );
        assert!((greatest.get::<f64, _>("c_smallmoney").unwrap() - 214_748.364_7).abs() < 1e-9);
        assert_eq!(least.get::<chrono::NaiveDate, _>("c_date").unwrap().to_string(), "0001-01-01");
        assert_eq!(greatest.get::<chrono::NaiveDate, _>("c_date").unwrap().to_string(), "9999-12-31");
        assert_eq!(greatest.get::<chrono::NaiveTime, _>("c_time").unwrap().to_string(), "23:59:59.999999900");
        assert_eq!(
            greatest.get::<chrono::NaiveDateTime, _>("c_datetime2").unwrap().to_string(),
            "9999-12-31 23:59:59.999999900"
        );
        assert_eq!(
            greatest.get::<chrono::NaiveDateTime, _>("c_datetime2_3").unwrap().to_string(),
            "9999-12-31 23:59:59.999"
        );
        assert_eq!(least.get::<chrono::NaiveDateTime, _>("c_datetime").unwrap().to_string(), "1753-01-01 00:00:00");
        assert_eq!(
            greatest.get::<chrono::NaiveDateTime, _>("c_smalldatetime").unwrap().to_string(),
            "2079-06-06 23:59:00"
        );
        assert_eq!((least.get("c_char"), greatest.get("c_varchar")), (Some("a    "), Some("€uro")));
        assert_eq!((least.get("c_varcharmax"), greatest.get("c_nchar")), (Some(""), Some("日本語日本")));
        assert_eq!((greatest.get("c_nvarchar"), greatest.get("c_nvarcharmax")), (Some("😀"), Some("😀")));
        assert_eq!((greatest.get("c_text"), greatest.get("c_ntext")), (Some("text"), Some("日本")));
        assert_eq!(greatest.get::<&str, _>("c_cyrillic"), Some("жук"));
        assert_eq!(least.get::<&[u8], _>("c_binary"), Some(&[0, 0, 0, 0][..]));
        assert_eq!((least.get("c_varbinary"), greatest.get("c_image")), (Some(&[][..]), Some(&[0xab][..])));
        assert_eq!(
            greatest.get::<tiberius::Uuid, _>("c_guid").unwrap().to_string(),
            "00112233-4455-6677-8899-aabbccddeeff"
        );
        assert_eq!(greatest.get::<&tiberius::xml::XmlData, _>("c_xml").unwrap().to_string(), "<a>ж</a>");
        assert_eq!(nulls.get::<i32, _>("id"), Some(3));
        for (position, cell) in nulls.cells().enumerate().skip(1) {
            let shown = format!("{:?}", cell.1);
            assert!(shown.contains("None"), "column {position}: {shown}");
        }
    }
}

#[tokio::test]
async fn long_values_come_in_many_packets() {
    let server = Server::start(Options::default()).unwrap();
    let mut client = connect(&server).await;
    let found = rows(
        &mut client,
        "SELECT REPLICATE(CAST(N'ж' AS nvarchar(max)), 524288) AS n, REPLICATE(CAST('a' AS varchar(max)), 1048576) AS v",
    )
    .await;
    assert_eq!(found[0].get::<&str, _>("n").unwrap().chars().filter(|c| *c == 'ж').count(), 524_288);
    assert_eq!(found[0].get::<&str, _>("v").unwrap().len(), 1_048_576);
    let sent = "å".repeat(600_000);
    let stream = client.query("SELECT @P1 AS x, DATALENGTH(@P1) AS n", &[&sent.as_str()]).await.unwrap();
    let row = stream.into_row().await.unwrap().unwrap();
    assert_eq!(row.get::<&str, _>("x"), Some(sent.as_str()));
    assert_eq!(row.get::<i64, _>("n"), Some(1_200_000));
}

#[tokio::test]
async fn errors_carry_number_class_and_state_and_the_connection_lives_on() {
    let server = Server::start(Options::default()).unwrap();
    let mut client = connect(&server).await;
    assert_eq!(
        refused(&mut client, "SELECT 1/0 AS x").await,
        (8134, 16, 1, "Divide by zero error encountered.".to_owned())
    );
    assert_eq!(refused(&mut client, "SELECT CAST('x' AS int) AS x").await.0, 245);
    assert_eq!(refused(&mut client, "SELECT x FROM dbo.nowhere").await.0, 208);
    assert_eq!(refused(&mut client, "RAISERROR('so', 14, 7)").await, (50000, 14, 7, "so".to_owned()));
    assert_eq!(rows(&mut client, "SELECT 2 AS x").await[0].get::<i32, _>(0), Some(2));
    server
        .faults()
        .order("marked", Fault::Error { number: 1205, class: 13, state: 51, message: "deadlock victim".to_owned() });
    assert_eq!(refused(&mut client, "SELECT 1 AS marked").await, (1205, 13, 51, "deadlock victim".to_owned()));
}

#[tokio::test]
async fn a_login_is_refused_with_the_wrong_password_database_and_certificate() {
    let server = Server::start(Options::default()).unwrap();
    let mut wrong = config(&server);
    wrong.authentication(AuthMethod::sql_server("wayleave", "no"));
    assert!(connected(wrong).await.err().unwrap().to_string().contains("18456"));
    let mut wrong = config(&server);
    wrong.database("elsewhere");
    assert!(connected(wrong).await.err().unwrap().to_string().contains("4060"));
    let mut wrong = Config::new();
    wrong.host("127.0.0.1");
    wrong.port(server.port());
    wrong.authentication(AuthMethod::sql_server("wayleave", "Passw0rd!"));
    wrong.encryption(EncryptionLevel::Required);
    assert!(connected(wrong).await.is_err());
    let plain = Server::start(Options { encryption: Encryption::NotSupported, ..Options::default() }).unwrap();
    let mut unencrypted = config(&plain);
    unencrypted.encryption(EncryptionLevel::NotSupported);
    let mut client = connected(unencrypted).await.unwrap();
    assert_eq!(rows(&mut client, "SELECT 1 AS x").await.len(), 1);
    assert!(!plain.log().logins()[0].encrypted);
}

#[tokio::test]
async fn only_the_login_is_encrypted_where_the_client_wants_no_more() {
    let server = Server::start(Options::default()).unwrap();
    let mut only_login = config(&server);
    only_login.encryption(EncryptionLevel::Off);
    let mut client = connected(only_login).await.unwrap();
    assert_eq!(rows(&mut client, "SELECT 1 AS x").await.len(), 1);
}

#[tokio::test]
async fn an_attention_is_acknowledged_in_the_response_and_as_its_own_message() {
    let server = Server::start(Options::default()).unwrap();
    server.execute_ddl("CREATE TABLE dbo.n (x int NOT NULL)").unwrap();
    server.execute_ddl("INSERT INTO dbo.n VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)").unwrap();
    let many = "SELECT a.x FROM dbo.n AS a CROSS JOIN dbo.n AS b CROSS JOIN dbo.n AS c CROSS JOIN dbo.n AS d CROSS JOIN dbo.n AS e";
    for acknowledgement in
        [Acknowledgement::InResponse, Acknowledgement::OwnMessage, Acknowledgement::Late(Duration::from_millis(150))]
    {
        server.faults().acknowledge(acknowledgement);
        server.log().clear();
        let mut client = connect(&server).await;
        let mut stream = client.simple_query(many).await.unwrap();
        let first = loop {
            match stream.try_next().await.unwrap().unwrap() {
                QueryItem::Row(row) => break row,
                QueryItem::Metadata(_) => {}
            }
        };
        assert_eq!(first.get::<i32, _>(0), Some(1));
        drop(stream);
        let outcome = client.cancel_query().await;
        let attentions = server.log().requests().iter().filter(|entry| entry.kind == RequestKind::Attention).count();
        assert_eq!(attentions, 1);
        if acknowledgement == Acknowledgement::InResponse {
            outcome.unwrap();
            assert_eq!(rows(&mut client, "SELECT 2 AS x").await[0].get::<i32, _>(0), Some(2));
        } else {
            // tiberius takes the response's end for the Attention's, and is one answer behind from here on.
            assert!(outcome.is_err());
            assert!(rows(&mut client, "SELECT 2 AS x").await.is_empty());
            assert_eq!(rows(&mut client, "SELECT 3 AS x").await[0].get::<i32, _>(0), Some(2));
        }
    }
}

#[tokio::test]
async fn a_response_can_break_off_in_the_middle_of_a_row_stall_and_go_on() {
    let server = Server::start(Options::default()).unwrap();
    server.execute_ddl("CREATE TABLE dbo.n (x int NOT NULL, y nvarchar(20) NOT NULL)").unwrap();
    server.execute_ddl("INSERT INTO dbo.n VALUES (1, N'one'),(2, N'two'),(3, N'three')").unwrap();
    let mut client = connect(&server).await;
    server.faults().order("dbo.n", Fault::DisconnectAfterRows(2));
    let outcome = async { client.simple_query("SELECT x, y FROM dbo.n").await?.into_first_result().await }.await;
    assert!(outcome.is_err());
    let mut client = connect(&server).await;
    server.faults().order("dbo.n", Fault::StallAfterRows(1));
    {
        let stream = client.simple_query("SELECT x, y FROM dbo.n").await.unwrap();
        let reading = stream.into_first_result();
        tokio::pin!(reading);
        assert!(tokio::time::timeout(Duration::from_millis(100), &mut reading).await.is_err());
        server.faults().release();
        assert_eq!(reading.await.unwrap().len(), 3);
    }
    server.faults().order("dbo.n", Fault::ErrorAfterRows(1));
    assert_eq!(refused(&mut client, "SELECT x, y FROM dbo.n").await.0, 50000);
}

#[tokio::test]
async fn parameters_of_every_kind_reach_a_statement() {
    let server = Server::start(Options::default()).unwrap();
    let mut client = connect(&server).await;
    let day = chrono::NaiveDate::from_ymd_opt(2024, 2, 29).unwrap();
    let moment = day.and_hms_nano_opt(1, 2, 3, 123_456_700).unwrap();
    let guid = tiberius::Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff);
    let decimal = rust_decimal::Decimal::new(-12_345, 3);
    let stream = client
        .query(
            "SELECT @P1 AS a, @P2 AS b, @P3 AS c, @P4 AS d, @P5 AS e, @P6 AS f, @P7 AS g, @P8 AS h, @P9 AS i",
            &[&1i32, &i64::MAX, &"x", &day, &moment, &guid, &decimal, &2.5f64, &Option::<i32>::None],
        )
        .await
        .unwrap();
    let row = stream.into_row().await.unwrap().unwrap();
    assert_eq!((row.get("a"), row.get("b"), row.get("c")), (Some(1i32), Some(i64::MAX), Some("x")));
    assert_eq!((row.get("d"), row.get("e"), row.get("f")), (Some(day), Some(moment), Some(guid)));
    assert_eq!((row.get("g"), row.get("h"), row.get("i")), (Some(decimal), Some(2.5f64), Option::<i32>::None));
}

#[tokio::test]
async fn a_snapshot_stays_as_it_was_and_is_refused_where_the_database_has_none() {
    let server = Server::start(Options::default()).unwrap();
    server.execute_ddl("CREATE TABLE dbo.n (x int NOT NULL); INSERT INTO dbo.n VALUES (1)").unwrap();
    let mut client = connect(&server).await;
    let count = "SELECT COUNT(*) AS n FROM dbo.n";
    for (level, expected) in [("SNAPSHOT", 1), ("READ COMMITTED", 2)] {
        rows(&mut client, &format!("SET TRANSACTION ISOLATION LEVEL {level}; BEGIN TRAN")).await;
        assert_eq!(rows(&mut client, count).await[0].get::<i32, _>(0), Some(1));
        server.execute_ddl("INSERT INTO dbo.n VALUES (2)").unwrap();
        assert_eq!(rows(&mut client, count).await[0].get::<i32, _>(0), Some(expected));
        rows(&mut client, "COMMIT").await;
        server.execute_ddl("DELETE FROM dbo.n WHERE x = 2").unwrap();
    }
    let without = Server::start(Options { snapshot_isolation: SnapshotIsolation::Off, ..Options::default() }).unwrap();
    without.execute_ddl("CREATE TABLE dbo.n (x int NOT NULL)").unwrap();
    let mut client = connect(&without).await;
    rows(&mut client, "SET TRANSACTION ISOLATION LEVEL SNAPSHOT").await;
    assert_eq!(refused(&mut client, count).await.0, 3952);
}

#[tokio::test]
async fn a_wait_ends_with_an_attention() {
    let server = Server::start(Options::default()).unwrap();
    let mut client = connect(&server).await;
    {
        let waiting = client.simple_query("WAITFOR DELAY '00:10:00'; SELECT 1 AS x");
        assert!(tokio::time::timeout(Duration::from_millis(100), waiting).await.is_err());
    }
    client.cancel_query().await.unwrap();
    assert_eq!(rows(&mut client, "SELECT 2 AS x").await[0].get::<i32, _>(0), Some(2));
}

#[tokio::test]
async fn a_connection_too_many_is_refused() {
    let server = Server::start(Options { greatest_connections: Some(1), ..Options::default() }).unwrap();
    let first = connect(&server).await;
    assert_eq!(server.connections(), 1);
    assert!(connected(config(&server)).await.err().unwrap().to_string().contains("17809"));
    first.close().await.unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while server.connections() > 0 {
        assert!(std::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    connect(&server).await;
}
