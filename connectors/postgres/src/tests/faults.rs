//! What goes wrong, and what must not.

use futures::future::join_all;
use wayleave_connector_api::ServerInfo;

use super::*;

const MANY_ROWS: &str = "SELECT n, repeat('x', 1000) FROM generate_series(1, 1000000) AS s (n)";

fn many_types() -> SchemaRef {
    schema(&[DataType::Int32, DataType::Utf8])
}

fn connector(change: impl FnOnce(&mut PostgresOptions)) -> PostgresConnector {
    let mut options = options(&server().url("postgres"));
    change(&mut options);
    PostgresConnector::new(options).unwrap()
}

#[tokio::test]
async fn a_server_says_what_it_is() {
    let ServerInfo { product, version, encrypted } = connector(|_| {}).ping().await.unwrap();
    assert_eq!((product.as_str(), encrypted), ("PostgreSQL", false));
    assert!(version.starts_with(|c: char| c.is_ascii_digit()));
}

#[test]
fn settings_that_cannot_work_are_refused_without_their_secrets() {
    let urls =
        ["mysql://u:secret@h/d", "postgres://u:secret@h:port/d", "postgres://u:secret@h/d?secret=1", "postgres:///d"];
    for url in urls {
        let error = PostgresConnector::new(options(url)).unwrap_err();
        assert!(matches!(error, ConnectorError::Configuration { .. }), "{url}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
    let connector = PostgresConnector::new(options("postgres://u:secret@h/d")).unwrap();
    assert!(!format!("{connector:?}").contains("secret"));
    let tls =
        PostgresOptions { tls: TlsMode::Require, ca_file: Some("/no/such/file".into()), ..options("postgres://u@h/d") };
    assert!(matches!(PostgresConnector::new(tls), Err(ConnectorError::Configuration { .. })));
    let none = PostgresOptions { max_connections: 0, ..options("postgres://u@h/d") };
    assert!(matches!(PostgresConnector::new(none), Err(ConnectorError::Configuration { .. })));
}

#[tokio::test]
async fn each_cause_of_no_session_has_its_name() {
    let wrong = connector(|options| options.url = options.url.replace("password", "guess"));
    let error = wrong.ping().await.unwrap_err();
    assert!(matches!(error, ConnectorError::Authentication { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("guess"));
    let missing = connector(|options| options.url = options.url.replace(":password", ""));
    assert!(matches!(missing.ping().await, Err(ConnectorError::Authentication { .. })));
    let nowhere = connector(|options| options.url = options.url.replace("/postgres", "/nowhere"));
    assert!(matches!(nowhere.ping().await, Err(ConnectorError::Refused { sqlstate, .. }) if sqlstate == "3D000"));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // It takes connections and never says a word.
    let silent = connector(|options| {
        options.url = format!("postgres://u:p@127.0.0.1:{port}/d");
        options.connect_timeout_ms = 200;
    });
    assert!(matches!(silent.ping().await, Err(ConnectorError::Unavailable { .. })));
    drop(listener);
    assert!(matches!(silent.ping().await, Err(ConnectorError::Unavailable { .. })));
}

#[tokio::test]
async fn encryption_is_verified_or_refused() {
    let secure = PostgresServer::start_with_tls().unwrap();
    let with = |url: String, ca_file: std::path::PathBuf| {
        let options = PostgresOptions { tls: TlsMode::Require, ca_file: Some(ca_file), ..options(&url) };
        PostgresConnector::new(options).unwrap()
    };
    let trusted = with(secure.url("postgres"), secure.ca_file());
    assert!(trusted.ping().await.unwrap().encrypted);
    let used = "SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(texts(&trusted, used).await, [Some("true".to_owned())]);
    // Cancelling has to speak TLS as well.
    let sleeping = trusted.query(statement("SELECT pg_sleep(100)::text", schema(&[DataType::Utf8]))).await.unwrap();
    drop(sleeping);
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%sleep%' AND state = 'active'";
    let deadline = Instant::now() + Duration::from_secs(10);
    while secure.query_text("postgres", busy).await.unwrap().as_deref() != Some("0") {
        assert!(Instant::now() < deadline);
    }
    // A host name that the certificate does not have.
    let other_name = with(secure.url("postgres").replace("127.0.0.1", "127.0.0.2"), secure.ca_file());
    let error = other_name.ping().await.unwrap_err();
    assert!(matches!(error, ConnectorError::Tls { .. } | ConnectorError::Unavailable { .. }), "{error:?}");
    let impostor = PostgresServer::start_with_tls().unwrap();
    let wrong_authority = with(secure.url("postgres"), impostor.ca_file());
    assert!(matches!(wrong_authority.ping().await, Err(ConnectorError::Tls { .. })));
    let plain = with(server().url("postgres"), secure.ca_file());
    assert!(matches!(plain.ping().await, Err(ConnectorError::Tls { .. })));
}

#[tokio::test]
async fn nothing_can_be_written() {
    let connector = agency(
        "read_only",
        "CREATE TABLE t (id int); CREATE SEQUENCE s; CREATE FUNCTION f() RETURNS int \
        LANGUAGE sql AS 'INSERT INTO public.t VALUES (1) RETURNING id'",
    )
    .await;
    for sql in [
        "SELECT nextval('public.s')",
        "SELECT public.f()",
        "DELETE FROM public.t RETURNING id",
        "INSERT INTO public.t VALUES (1) RETURNING id",
    ] {
        let outcome = collect(&connector, sql, schema(&[DataType::Int32])).await;
        assert!(
            matches!(&outcome, Err(ConnectorError::Refused { sqlstate, .. }) if sqlstate == "25006"),
            "{sql}: {outcome:?}"
        );
    }
    let two =
        collect(&connector, "SELECT 1) TO STDOUT; DELETE FROM public.t; COPY (SELECT 1", schema(&[DataType::Int32]));
    assert!(matches!(two.await, Err(ConnectorError::Refused { sqlstate, .. }) if sqlstate == "42601"));
    // Not even what hides in a search path.
    let path = texts(&connector, "SELECT current_setting('search_path')").await;
    assert_eq!(path, [Some("pg_catalog, pg_temp".to_owned())]);
}

#[tokio::test]
async fn the_servers_log_names_the_query_and_nothing_else() {
    let connector = connector(|_| {});
    let types = schema(&[DataType::Utf8]);
    let query_id = "0192-ab'; DROP TABLE x; --".to_owned();
    let sql = "SELECT current_setting('application_name')".to_owned();
    let mut stream = connector.query(Statement { sql, schema: types, query_id }).await.unwrap();
    assert_eq!(
        column_texts(&stream.next().await.unwrap().unwrap(), 0),
        [Some("wayleave 0192-abDROPTABLEx--".to_owned())]
    );
}

#[tokio::test]
async fn the_server_waits_for_a_slow_consumer_and_a_dropped_result_ends() {
    let connector = agency("slow_consumer", "").await;
    let mut stream = connector.query(statement(MANY_ROWS, many_types())).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().num_rows(), 256);
    let waits = "SELECT coalesce(max(wait_event), 'none') FROM pg_stat_activity WHERE datname = 'slow_consumer' AND query LIKE 'COPY%'";
    wait_until("slow_consumer", waits, "ClientWrite").await;
    let started = Instant::now();
    drop(stream);
    let backends =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'slow_consumer' AND application_name LIKE 'wayleave%'";
    wait_until("slow_consumer", backends, "0").await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(texts(&connector, "SELECT 'next'").await, [Some("next".to_owned())]);
}

#[tokio::test]
async fn a_dropped_result_stops_a_backend_that_computes() {
    let connector = agency("computing", "").await;
    let backends =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'computing' AND application_name LIKE 'wayleave%'";
    let sleeping = connector.query(statement("SELECT pg_sleep(100)::text", schema(&[DataType::Utf8]))).await.unwrap();
    wait_until("computing", backends, "1").await;
    let started = Instant::now();
    drop(sleeping);
    wait_until("computing", backends, "0").await;
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    // A question that is given up before its answer begins is the same.
    let locked = "SELECT pg_sleep(100)::text";
    let types = schema(&[DataType::Utf8]);
    let given_up = tokio::time::timeout(Duration::from_millis(100), async { collect(&connector, locked, types).await });
    assert!(given_up.await.is_err());
    wait_until("computing", backends, "0").await;
}

#[tokio::test]
async fn the_budget_is_never_exceeded() {
    let connector = agency("budget", "").await;
    let few = PostgresConnector::new(PostgresOptions {
        max_connections: 2,
        connect_timeout_ms: 1_000,
        ..options(&server().url("budget"))
    })
    .unwrap();
    let first = few.query(statement(MANY_ROWS, many_types())).await.unwrap();
    let second = few.query(statement(MANY_ROWS, many_types())).await.unwrap();
    let outcome = few.ping().await;
    assert!(matches!(outcome, Err(ConnectorError::Budget { budget: 2, waited_ms: 1_000 })), "{outcome:?}");
    drop((first, second));
    let backends =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'budget' AND application_name LIKE 'wayleave%'";
    wait_until("budget", backends, "0").await;
    let few =
        PostgresConnector::new(PostgresOptions { max_connections: 2, ..options(&server().url("budget")) }).unwrap();
    let all = join_all((0..20).map(|_| texts(&few, "SELECT 'x'"))).await;
    assert!(all.iter().all(|rows| rows.len() == 1));
    assert_eq!(
        server().query_text("budget", &backends.replace("count(*)", "count(*) <= 2")).await.unwrap().as_deref(),
        Some("t")
    );
    drop(connector);
}

#[tokio::test]
async fn a_killed_server_never_gives_a_short_result_and_a_restarted_one_is_found_again() {
    let mut own = PostgresServer::start().unwrap();
    let connector = PostgresConnector::new(options(&own.url("postgres"))).unwrap();
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
    connector.ping().await.unwrap();
    // The idle connection dies with the server, and the next question does not notice.
    own.stop();
    own.start_again().unwrap();
    connector.ping().await.unwrap();
    assert_eq!(texts(&connector, "SELECT 'again'").await, [Some("again".to_owned())]);
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'wayleave%'";
    own.execute("postgres", terminate).await.unwrap();
    assert_eq!(texts(&connector, "SELECT 'and again'").await, [Some("and again".to_owned())]);
}

#[tokio::test]
async fn a_failure_after_many_rows_is_a_failure() {
    let connector = connector(|_| {});
    let sql = "SELECT (1000 / (9000 - n))::int4 FROM generate_series(1, 10000) AS s (n)";
    let mut stream = connector.query(statement(sql, schema(&[DataType::Int32]))).await.unwrap();
    let mut outcome = None;
    while let Some(batch) = stream.next().await {
        if let Err(error) = batch {
            outcome = Some(error);
        }
    }
    assert!(matches!(&outcome, Some(ConnectorError::Refused { sqlstate, .. }) if sqlstate == "22012"), "{outcome:?}");
    let unreadable =
        connector.query(statement("SELECT 1", schema(&[DataType::Duration(arrow::datatypes::TimeUnit::Second)]))).await;
    assert!(matches!(unreadable.err(), Some(ConnectorError::Protocol { .. })));
}
