//! What goes wrong, and what must not.

use futures::future::join_all;
use wayleave_connector_api::ServerInfo;

use super::*;

const MANY_ROWS: &str = "SELECT seq, repeat('x', 1000) FROM seq_1_to_1000000";

/// It computes, and says nothing meanwhile.
const COMPUTING: &str =
    "SELECT CAST(count(*) AS CHAR) FROM seq_1_to_1000000 AS a JOIN seq_1_to_1000000 AS b ON a.seq % 7 < b.seq % 11";

fn many_types() -> SchemaRef {
    schema(&[DataType::Int64, DataType::Utf8])
}

fn connector(change: impl FnOnce(&mut MysqlOptions)) -> MysqlConnector {
    let mut options = options(&server().url("mysql"));
    change(&mut options);
    MysqlConnector::new(options).unwrap()
}

/// How many connections there are to a schema, but for the one that asks.
fn connections(schema: &str) -> String {
    format!(
        "SELECT count(*) FROM information_schema.processlist WHERE db = '{schema}' AND id <> connection_id() \
         AND command <> 'Killed'"
    )
}

#[tokio::test]
async fn a_server_says_what_it_is() {
    let ServerInfo { product, version, encrypted } = connector(|_| {}).ping().await.unwrap();
    assert_eq!((product.as_str(), encrypted), ("MariaDB", false));
    assert!(version.starts_with(|c: char| c.is_ascii_digit()));
}

#[test]
fn settings_that_cannot_work_are_refused_without_their_secrets() {
    let urls = [
        "postgres://u:secret@h/d",
        "mysql://u:secret@h:port/d",
        "mysql://u:secret@h/d?require_ssl=false",
        "mysql://:secret@h/d",
        "mysql:///d",
    ];
    for url in urls {
        let error = MysqlConnector::new(options(url)).unwrap_err();
        assert!(matches!(error, ConnectorError::Configuration { .. }), "{url}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
    let connector = MysqlConnector::new(options("mariadb://u:secret@h/d")).unwrap();
    assert!(!format!("{connector:?}").contains("secret"));
    let tls = MysqlOptions { tls: TlsMode::Require, ca_file: Some("/no/such/file".into()), ..options("mysql://u@h/d") };
    assert!(matches!(MysqlConnector::new(tls), Err(ConnectorError::Configuration { .. })));
    let none = MysqlOptions { max_connections: 0, ..options("mysql://u@h/d") };
    assert!(matches!(MysqlConnector::new(none), Err(ConnectorError::Configuration { .. })));
}

#[test]
fn one_server_is_itself_by_any_url_and_no_other() {
    let of = |url: &str| MysqlConnector::new(options(url)).unwrap().source_identity();
    assert_eq!(of("mysql://u:p@h/a"), of("mariadb://u:p@h:3306/b"));
    for other in ["mysql://u:p@g/a", "mysql://u:q@h/a", "mysql://v:p@h/a", "mysql://u:p@h:3307/a"] {
        assert_ne!(of("mysql://u:p@h/a"), of(other), "{other}");
    }
}

#[tokio::test]
async fn each_cause_of_no_session_has_its_name() {
    let wrong = connector(|options| options.url = options.url.replace("password", "guess"));
    let error = wrong.ping().await.unwrap_err();
    assert!(matches!(error, ConnectorError::Authentication { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("guess"));
    let missing = connector(|options| options.url = options.url.replace(":password", ""));
    assert!(matches!(missing.ping().await, Err(ConnectorError::Authentication { .. })));
    let nowhere = connector(|options| options.url = options.url.replace("/mysql", "/nowhere"));
    assert!(matches!(nowhere.ping().await, Err(ConnectorError::Refused { sqlstate, .. }) if sqlstate == "42000"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // It takes connections and never says a word.
    let silent = connector(|options| {
        options.url = format!("mysql://u:p@127.0.0.1:{port}/d");
        options.connect_timeout_ms = 200;
    });
    assert!(matches!(silent.ping().await, Err(ConnectorError::Unavailable { .. })));
    drop(listener);
    assert!(matches!(silent.ping().await, Err(ConnectorError::Unavailable { .. })));
}

#[tokio::test]
async fn encryption_is_verified_or_refused() {
    let secure = MariadbServer::start_with_tls().unwrap();
    let with = |url: String, ca_file: std::path::PathBuf| {
        let options = MysqlOptions { tls: TlsMode::Require, ca_file: Some(ca_file), ..options(&url) };
        MysqlConnector::new(options).unwrap()
    };
    let trusted = with(secure.url("mysql"), secure.ca_file());
    assert!(trusted.ping().await.unwrap().encrypted);
    let used = "SELECT variable_value <> '' FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'";
    let cipher = collect(&trusted, used, schema(&[DataType::Boolean])).await.unwrap();
    assert!(arrow::array::AsArray::as_boolean(cipher.column(0)).value(0));
    // Cancelling has to speak TLS as well.
    drop(trusted.query(statement(COMPUTING, schema(&[DataType::Utf8]))).await.unwrap());
    let busy = "SELECT count(*) FROM information_schema.processlist WHERE info LIKE '%wayleave q-1%' AND id <> connection_id()";
    let deadline = Instant::now() + Duration::from_secs(10);
    while secure.query_text("", busy).await.unwrap().as_deref() != Some("0") {
        assert!(Instant::now() < deadline);
    }
    // A host name that the certificate does not have.
    let other_name = with(secure.url("mysql").replace("127.0.0.1", "127.0.0.2"), secure.ca_file());
    let error = other_name.ping().await.unwrap_err();
    assert!(matches!(error, ConnectorError::Tls { .. } | ConnectorError::Unavailable { .. }), "{error:?}");
    let impostor = MariadbServer::start_with_tls().unwrap();
    let wrong_authority = with(secure.url("mysql"), impostor.ca_file());
    let error = wrong_authority.ping().await.unwrap_err();
    assert!(matches!(error, ConnectorError::Tls { .. }), "{error:?}");
    let plain = with(server().url("mysql"), secure.ca_file());
    let error = plain.ping().await.unwrap_err();
    assert!(matches!(error, ConnectorError::Tls { .. }), "{error:?}");
    // A server that takes no other connection says so itself.
    secure.execute("", "SET GLOBAL require_secure_transport = ON").await.unwrap();
    let unencrypted = MysqlConnector::new(options(&secure.url("mysql"))).unwrap();
    let error = unencrypted.ping().await.unwrap_err();
    assert!(matches!(error, ConnectorError::Tls { .. } | ConnectorError::Authentication { .. }), "{error:?}");
}

#[tokio::test]
async fn nothing_can_be_written() {
    let connector = agency("read_only", "CREATE TABLE t (id int); CREATE SEQUENCE s").await;
    server()
        .execute(
            "read_only",
            "CREATE FUNCTION f() RETURNS int MODIFIES SQL DATA BEGIN INSERT INTO read_only.t VALUES (1); RETURN 1; END",
        )
        .await
        .unwrap();
    for sql in [
        "SELECT nextval(read_only.s)",
        "SELECT read_only.f()",
        "DELETE FROM read_only.t RETURNING id",
        "INSERT INTO read_only.t VALUES (1) RETURNING id",
    ] {
        let outcome = collect(&connector, sql, schema(&[DataType::Int64])).await;
        assert!(
            matches!(&outcome, Err(ConnectorError::Refused { sqlstate, .. }) if sqlstate == "25006"),
            "{sql}: {outcome:?}"
        );
    }
    let two = collect(&connector, "SELECT 1; DELETE FROM read_only.t", schema(&[DataType::Int64])).await;
    assert!(matches!(&two, Err(ConnectorError::Refused { sqlstate, .. }) if sqlstate == "42000"), "{two:?}");
    let parameter = collect(&connector, "SELECT :name", schema(&[DataType::Int64])).await;
    assert!(matches!(parameter, Err(ConnectorError::Protocol { .. })), "{parameter:?}");
    assert_eq!(server().query_text("read_only", "SELECT count(*) FROM t").await.unwrap().as_deref(), Some("0"));
}

#[tokio::test]
async fn the_servers_list_names_the_query_and_nothing_else() {
    let connector = connector(|_| {});
    let query_id = "0192-ab*/; DROP TABLE x; --".to_owned();
    let sql = "SELECT info FROM information_schema.processlist WHERE id = connection_id()".to_owned();
    let mut stream = connector.query(Statement { sql, schema: schema(&[DataType::Utf8]), query_id }).await.unwrap();
    let info = column_texts(&stream.next().await.unwrap().unwrap(), 0).remove(0).unwrap();
    assert!(info.starts_with("/* wayleave 0192-abDROPTABLEx-- */ SELECT"), "{info}");
}

/// What the server's administrator has set as a default changes no answer.
#[tokio::test]
async fn a_session_is_set_up_whatever_the_servers_own_settings_are() {
    let mut own = MariadbServer::start().unwrap();
    own.execute(
        "",
        "SET GLOBAL sql_mode = 'ANSI_QUOTES,PAD_CHAR_TO_FULL_LENGTH,ORACLE'; SET GLOBAL sql_select_limit = 2; \
         SET GLOBAL time_zone = '+05:30'; SET GLOBAL max_sort_length = 64; SET GLOBAL div_precision_increment = 0; \
         CREATE DATABASE d; CREATE TABLE d.t (c char(9), ts timestamp NULL); \
         INSERT INTO d.t VALUES ('a', from_unixtime(86400)), ('b', NULL), ('c', NULL)",
    )
    .await
    .unwrap();
    let connector = MysqlConnector::new(options(&own.url("d"))).unwrap();
    let sql = "SELECT concat(CAST(c AS CHAR), '|', '\\', coalesce(ts, 'none')) FROM d.t ORDER BY 1";
    let rows = texts(&connector, sql).await.into_iter().map(Option::unwrap).collect::<Vec<_>>();
    assert_eq!(rows, ["a|\\1970-01-02 00:00:00", "b|\\none", "c|\\none"]);
    own.stop();
}

#[tokio::test]
async fn a_statement_that_runs_too_long_is_stopped() {
    let connector = connector(|options| options.statement_timeout_ms = 300);
    let started = Instant::now();
    let outcome = collect(&connector, COMPUTING, schema(&[DataType::Utf8])).await;
    assert!(matches!(outcome, Err(ConnectorError::Timeout { timeout_ms: 300 })), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(texts(&connector, "SELECT 'next'").await, [Some("next".to_owned())]);
}

#[tokio::test]
async fn the_server_waits_for_a_slow_consumer_and_a_dropped_result_ends() {
    let connector = agency("slow_consumer", "").await;
    let mut stream = connector.query(statement(MANY_ROWS, many_types())).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().num_rows(), 256);
    let waits =
        "SELECT max(state) FROM information_schema.processlist WHERE db = 'slow_consumer' AND info LIKE '/* wayleave%'";
    wait_until(waits, "Writing to net").await;
    let started = Instant::now();
    drop(stream);
    let running = "SELECT count(*) FROM information_schema.processlist WHERE db = 'slow_consumer' AND info IS NOT NULL";
    wait_until(running, "0").await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(texts(&connector, "SELECT 'next'").await, [Some("next".to_owned())]);
}

/// A gigabyte goes through, and other tests beside it.
#[tokio::test]
async fn a_large_result_is_nowhere_held() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
    };
    let connector = connector(|_| {});
    let mut stream = connector.query(statement(MANY_ROWS, many_types())).await.unwrap();
    let (mut rows, mut bytes, mut most) = (0, 0, 0);
    let before = resident();
    while let Some(batch) = stream.next().await {
        let batch = batch.unwrap();
        rows += batch.num_rows();
        bytes += batch.get_array_memory_size();
        most = most.max(resident());
    }
    assert!(rows == 1_000_000 && bytes > 1_000_000_000, "{rows} rows, {bytes} bytes");
    assert!(most < before + 250, "{before} MB before and {most} MB while it was read");
}

#[tokio::test]
async fn a_dropped_result_stops_a_server_that_computes() {
    let connector = agency("computing", "").await;
    let running =
        "SELECT count(*) FROM information_schema.processlist WHERE db = 'computing' AND info LIKE '/* wayleave%'";
    let computing = connector.query(statement(COMPUTING, schema(&[DataType::Utf8]))).await.unwrap();
    wait_until(running, "1").await;
    let started = Instant::now();
    drop(computing);
    wait_until(running, "0").await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    // A question that is given up before its answer begins is the same.
    let types = schema(&[DataType::Utf8]);
    let given_up =
        tokio::time::timeout(Duration::from_millis(100), async { collect(&connector, COMPUTING, types).await });
    assert!(given_up.await.is_err());
    wait_until(running, "0").await;
}

#[tokio::test]
async fn the_budget_is_never_exceeded() {
    let _agency = agency("budget", "").await;
    let few = |connect_timeout_ms| {
        let options = MysqlOptions { max_connections: 2, connect_timeout_ms, ..options(&server().url("budget")) };
        MysqlConnector::new(options).unwrap()
    };
    let waiting = few(1_000);
    let first = waiting.query(statement(MANY_ROWS, many_types())).await.unwrap();
    let second = waiting.query(statement(MANY_ROWS, many_types())).await.unwrap();
    let outcome = waiting.ping().await;
    assert!(matches!(outcome, Err(ConnectorError::Budget { budget: 2, waited_ms: 1_000 })), "{outcome:?}");
    drop((first, second));
    assert!(waiting.ping().await.is_ok());
    drop(waiting);
    wait_until(&connections("budget"), "0").await;
    let few = few(10_000);
    let all = join_all((0..20).map(|_| texts(&few, "SELECT 'x'"))).await;
    assert!(all.iter().all(|rows| rows.len() == 1));
    wait_until(&connections("budget").replace("count(*)", "count(*) <= 2"), "1").await;
}

#[tokio::test]
async fn no_query_ever_sees_another_ones_rows() {
    let connector = connector(|options| options.max_connections = 2);
    for round in 0..30 {
        let mut stream = connector.query(statement(MANY_ROWS, many_types())).await.unwrap();
        if round % 2 == 0 {
            let _first = stream.next().await;
        }
        drop(stream);
        assert_eq!(texts(&connector, &format!("SELECT 'round {round}'")).await, [Some(format!("round {round}"))]);
    }
}

#[tokio::test]
async fn a_killed_server_never_gives_a_short_result_and_a_restarted_one_is_found_again() {
    let mut own = MariadbServer::start().unwrap();
    let connector = MysqlConnector::new(options(&own.url("mysql"))).unwrap();
    let mut stream = connector.query(statement(MANY_ROWS, many_types())).await.unwrap();
    let mut rows = stream.next().await.unwrap().unwrap().num_rows();
    own.stop();
    let error = loop {
        match stream.next().await {
            Some(Ok(batch)) => rows += batch.num_rows(),
            Some(Err(error)) => break error,
            None => panic!("a result of {rows} rows ended as if it were whole"),
        }
    };
    assert!(matches!(error, ConnectorError::Lost { .. }), "{error:?}");
    assert!(rows < 1_000_000);
    assert!(matches!(connector.ping().await, Err(ConnectorError::Unavailable { .. })));
    own.start_again().unwrap();
    assert_eq!(texts(&connector, "SELECT 'back'").await, [Some("back".to_owned())]);
    own.stop();
    own.start_again().unwrap();
    // The idle connection died with the server, and nobody notices.
    assert_eq!(texts(&connector, "SELECT 'again'").await, [Some("again".to_owned())]);
}

#[tokio::test]
async fn a_connection_that_the_server_ends_is_lost_and_not_the_end_of_the_rows() {
    let connector = agency("killed", "").await;
    let mut stream = connector.query(statement(MANY_ROWS, many_types())).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    let id = server()
        .query_text(
            "",
            "SELECT max(id) FROM information_schema.processlist WHERE db = 'killed' AND info LIKE '/* wayleave%'",
        )
        .await
        .unwrap()
        .unwrap();
    server().execute("", &format!("KILL {id}")).await.unwrap();
    let error = loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("the result ended as if it were whole"),
        }
    };
    assert!(matches!(error, ConnectorError::Lost { .. } | ConnectorError::Cancelled), "{error:?}");
    // An operator who ends the statement alone.
    let mut stream = connector.query(statement(COMPUTING, schema(&[DataType::Utf8]))).await.unwrap();
    let running =
        "SELECT max(id) FROM information_schema.processlist WHERE db = 'killed' AND info LIKE '/* wayleave%count%'";
    let id = loop {
        if let Some(id) = server().query_text("", running).await.unwrap() {
            break id;
        }
    };
    server().execute("", &format!("KILL QUERY {id}")).await.unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(error, ConnectorError::Cancelled), "{error:?}");
}
