//! The endpoint of PostgreSQL's protocol, driven by clients of other hands: what they get is what the engine answers, and what
//! one client does harms no other.

use std::time::{Duration, Instant};

use chrono::NaiveDate;
use futures::{StreamExt, TryStreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::NoTls;
use wayleave::config::CertificateFiles;

use crate::served::{PASSWORD, Served, rows_of, told, write_users};

const PATIENTS: &str =
    "SELECT nhs_number, name FROM health.main.patients WHERE name IS NOT NULL ORDER BY nhs_number, name";

#[tokio::test]
async fn both_protocols_answer_what_the_engine_does() {
    let served = Served::new().await;
    let client = served.sam().await;
    let expected = served.world.rows(&served.world.session("social_worker"), PATIENTS).await.unwrap();
    assert!(expected.len() > 3);
    assert_eq!(rows_of(&client.simple_query(PATIENTS).await.unwrap()), expected);
    let rows = client.query(PATIENTS, &[]).await.unwrap();
    let text = |row: &tokio_postgres::Row, at: usize| row.get::<_, Option<String>>(at).unwrap_or("NULL".to_owned());
    let got: Vec<Vec<String>> = rows.iter().map(|row| vec![text(row, 0), text(row, 1)]).collect();
    assert_eq!(got, expected);
    // Each is on the record under the user's own name.
    let intents = served.records("intent").await;
    assert!(intents.iter().all(|intent| intent["user"] == "sam" && intent["organisation"] == "torbay-asc"));
}

#[tokio::test]
async fn values_are_the_same_as_text_and_in_binary() {
    let served = Served::new().await;
    let client = served.sam().await;
    let sql = "SELECT CAST(-7 AS SMALLINT) AS a, CAST(70000 AS INT) AS b, 9223372036854775807 AS c, true AS d, 'it''s é' AS e, \
               DATE '1950-01-31' AS f, CAST('2026-03-29 01:30:00.5' AS TIMESTAMP) AS g, CAST(0.1 AS DOUBLE) AS h, NULL AS i, \
               CAST('12345678901234567890123456789012345.123' AS DECIMAL(38, 3)) AS j";
    let row = client.query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get::<_, i16>(0), row.get::<_, i32>(1), row.get::<_, i64>(2)), (-7, 70_000, i64::MAX));
    assert_eq!((row.get::<_, bool>(3), row.get::<_, &str>(4)), (true, "it's é"));
    assert_eq!(row.get::<_, NaiveDate>(5), NaiveDate::from_ymd_opt(1950, 1, 31).unwrap());
    assert_eq!(row.get::<_, chrono::NaiveDateTime>(6).to_string(), "2026-03-29 01:30:00.500");
    assert_eq!((row.get::<_, f64>(7), row.get::<_, Option<&str>>(8)), (0.1, None));
    let text = rows_of(&client.simple_query(sql).await.unwrap());
    let expected = [
        "-7",
        "70000",
        "9223372036854775807",
        "t",
        "it's é",
        "1950-01-31",
        "2026-03-29 01:30:00.5",
        "0.1",
        "NULL",
        "12345678901234567890123456789012345.123",
    ];
    assert_eq!(text, [expected]);
}

#[tokio::test]
async fn parameters_are_values_and_never_sql() {
    let served = Served::new().await;
    let client = served.sam().await;
    let count = |sql: &'static str| {
        let client = &client;
        async move { rows_of(&client.simple_query(sql).await.unwrap())[0][0].parse::<i64>().unwrap() }
    };
    let some: String = client.query(PATIENTS, &[]).await.unwrap()[0].get(1);
    let sql = "SELECT count(*) FROM health.main.patients WHERE name = $1";
    let found: i64 = client.query_one(sql, &[&some]).await.unwrap().get(0);
    assert!(found >= 1);
    let none: i64 = client.query_one(sql, &[&"x' OR '1'='1"]).await.unwrap().get(0);
    assert_eq!(none, 0);
    let none: i64 = client.query_one(sql, &[&None::<String>]).await.unwrap().get(0);
    assert_eq!(none, 0);
    // A number is compared as one, and a date as one, though the client says no types.
    let sql = "SELECT count(*) FROM social.main.assessments WHERE assessment_id < $1";
    let few: i64 = client.query_one(sql, &[&10_i64]).await.unwrap().get(0);
    assert_eq!(few, count("SELECT count(*) FROM social.main.assessments WHERE assessment_id < 10").await);
    let born = NaiveDate::from_ymd_opt(1950, 1, 1).unwrap();
    let older: i64 = client
        .query_one("SELECT count(*) FROM health.main.patients WHERE dob < $1 AND $2", &[&born, &true])
        .await
        .unwrap()
        .get(0);
    assert_eq!(older, count("SELECT count(*) FROM health.main.patients WHERE dob < DATE '1950-01-01'").await);
    // The record has the values that were asked for.
    let intents = served.records("intent").await;
    assert!(intents.iter().any(|intent| intent["sql"].as_str().unwrap().contains("'x'' OR ''1''=''1'")), "{intents:?}");
}

#[tokio::test]
async fn rows_come_as_they_are_fetched() {
    let served = Served::new().await;
    let mut client = served.sam().await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT * FROM generate_series(1, 1000)", &[]).await.unwrap();
    let mut seen = Vec::new();
    for expected in [300, 300, 300, 100, 0] {
        let rows = transaction.query_portal(&portal, 300).await.unwrap();
        assert_eq!(rows.len(), expected);
        seen.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
    }
    assert_eq!(seen, (1..=1000).collect::<Vec<i64>>());
    transaction.commit().await.unwrap();
    // A number of rows that no memory holds is no reason to take it.
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT 1", &[]).await.unwrap();
    assert_eq!(transaction.query_portal(&portal, i32::MAX).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_purpose_is_declared_or_nothing_is_asked() {
    let served = Served::new().await;
    let client = served.connect(&served.settings("lea", "")).await.unwrap();
    let persons = "SELECT count(*) FROM police.main.persons";
    let (state, message, hint) = told(&client.simple_query(persons).await.unwrap_err());
    assert_eq!((state.as_str(), message.as_str()), ("42501", "no purpose is declared"));
    assert!(hint.contains("SET wayleave.purpose"), "{hint}");
    client
        .batch_execute("SET wayleave.purpose = 'safeguarding'; SET wayleave.reason = 'strategy discussion'")
        .await
        .unwrap();
    let (state, message, hint) = told(&client.simple_query(persons).await.unwrap_err());
    assert_eq!((state.as_str(), hint.as_str()), ("42501", "say it with SET wayleave.case = '…'"), "{message}");
    client.batch_execute("SET wayleave.case TO 'CASE-7'").await.unwrap();
    let expected = served.world.rows(&served.world.session("safeguarding_lead"), persons).await.unwrap();
    assert_eq!(rows_of(&client.simple_query(persons).await.unwrap()), expected);
    assert_eq!(rows_of(&client.simple_query("SHOW wayleave.case").await.unwrap()), [["CASE-7"]]);
    // The same by the connection's options, which drivers and dashboards keep.
    let options =
        "options='-c wayleave.purpose=safeguarding -c wayleave.case=CASE-7 -c wayleave.reason=strategy\\\\ discussion'";
    let client = served.connect(&served.settings("lea", options)).await.unwrap();
    assert_eq!(rows_of(&client.simple_query(persons).await.unwrap()), expected);
    // A pool that hands the connection on brings back what it began with.
    client.batch_execute("SET wayleave.case = 'CASE-9'").await.unwrap();
    client.batch_execute("DISCARD ALL").await.unwrap();
    assert_eq!(rows_of(&client.simple_query("SHOW wayleave.case").await.unwrap()), [["CASE-7"]]);
    assert_eq!(rows_of(&client.simple_query(persons).await.unwrap()), expected);
    // Nobody makes themselves another.
    assert_eq!(told(&client.batch_execute("SET wayleave.role = 'root'").await.unwrap_err()).0, "22023");
}

#[tokio::test]
async fn refusals_have_their_state_and_hint_and_leave_the_connection_usable() {
    let served = Served::new().await;
    let client = served.sam().await;
    for (sql, expected) in [
        ("SELECT * FROM health.main.encounters WHERE nonsense = 1", "42501"),
        ("SELECT * FROM nowhere.main.nothing", "42501"),
        ("SELEC 1", "42601"),
        ("DELETE FROM health.main.patients", "25006"),
        ("SELECT 1 / 0", "22000"),
        ("SHOW nonsense", "42704"),
    ] {
        assert_eq!(told(&client.simple_query(sql).await.unwrap_err()).0, expected, "{sql}");
        assert_eq!(told(&client.query(sql, &[]).await.unwrap_err()).0, expected, "{sql}");
    }
    assert_eq!(client.query_one("SELECT 1", &[]).await.unwrap().get::<_, i64>(0), 1);
    // Within a transaction nothing is done after an error, as clients expect.
    client.batch_execute("BEGIN").await.unwrap();
    assert!(client.simple_query("SELEC").await.is_err());
    assert_eq!(told(&client.simple_query("SELECT 1").await.unwrap_err()).0, "25P02");
    client.batch_execute("ROLLBACK").await.unwrap();
    assert_eq!(rows_of(&client.simple_query("SELECT 1; SELECT 2").await.unwrap()), [["1"], ["2"]]);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_are_told_the_same_and_recorded() {
    let served = Served::new().await;
    let wrong = served.settings("sam", "").replace(PASSWORD, "wrong");
    let nobody = served.settings("nobody", "");
    for settings in [&wrong, &nobody] {
        let error = served.connect(settings).await.err().unwrap();
        let (state, message, hint) = told(&error);
        assert_eq!((state.as_str(), hint.as_str()), ("28P01", ""));
        assert!(message.contains("has failed"), "{message}");
    }
    let failures = served.records("failed-login").await;
    let users: Vec<&str> = failures.iter().map(|failure| failure["user"].as_str().unwrap()).collect();
    assert_eq!(users, ["sam", "nobody"]);
    assert!(failures.iter().all(|failure| failure["address"] == "127.0.0.1"));
    // Two failures make the third login wait; it succeeds all the same.
    let started = Instant::now();
    served.sam().await;
    assert!(started.elapsed() >= Duration::from_millis(400), "{:?}", started.elapsed());
}

#[tokio::test]
async fn whoever_is_removed_asks_nothing_more() {
    let served = Served::new().await;
    let (client, mut fetching) = (served.sam().await, served.sam().await);
    client.simple_query("SELECT 1").await.unwrap();
    let transaction = fetching.transaction().await.unwrap();
    let portal = transaction.bind("SELECT * FROM generate_series(1, 1000)", &[]).await.unwrap();
    assert_eq!(transaction.query_portal(&portal, 10).await.unwrap().len(), 10);
    write_users(&served.users, &["lea@torbay-mash/safeguarding-lead"]);
    assert_eq!(told(&client.simple_query("SELECT 1").await.unwrap_err()).0, "28000");
    assert_eq!(told(&transaction.query_portal(&portal, 10).await.unwrap_err()).0, "28000");
    assert!(served.connect(&served.settings("sam", "")).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_query_is_cancelled_from_another_connection() {
    let served = Served::new().await;
    let client = served.sam().await;
    let cancel = client.cancel_token();
    // Fewer rows than would ever end: 27 to the power of 8.
    let tables: Vec<String> = (0..8).map(|at| format!("health.main.patients p{at}")).collect();
    let endless = format!("SELECT count(*) FROM {}", tables.join(", "));
    let running = async {
        let error = client.simple_query(&endless).await.unwrap_err();
        (told(&error).0, Instant::now())
    };
    let cancelling = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let asked = Instant::now();
        cancel.cancel_query(NoTls).await.unwrap();
        asked
    };
    let ((state, ended), asked) = tokio::join!(running, cancelling);
    assert_eq!(state, "57014");
    assert!(ended - asked < Duration::from_secs(2), "{:?}", ended - asked);
    assert_eq!(rows_of(&client.simple_query("SELECT 1").await.unwrap()), [["1"]]);
    let outcomes = served.records("outcome").await;
    assert!(outcomes.iter().any(|outcome| outcome["status"] == "cancelled"), "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_or_never_reads_or_speaks_nonsense_harms_no_other() {
    let served = Served::new().await;
    // Rows without end for a client that stops reading: the server waits for it, and holds no more than a few batches.
    let mut silent = tokio::process::Command::new("psql");
    silent.args(["-X", "-d", &served.settings("sam", ""), "-c", "SELECT * FROM generate_series(1, 1000000000)"]);
    let mut silent = silent.kill_on_drop(true).spawn().unwrap();
    let process = silent.id().unwrap().to_string();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(
        std::process::Command::new("sh").args(["-c", &format!("kill -STOP {process}")]).status().unwrap().success()
    );
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xff; 4096], &[0, 0, 0, 8, 4, 210, 22, 47, 1, 2, 3], b""]
    {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let mut answer = [0; 64];
        let _ = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut answer)).await;
    }
    let idle: Vec<TcpStream> =
        futures::stream::iter(0..100).then(|_| TcpStream::connect(served.address)).try_collect().await.unwrap();
    let other = served.sam().await;
    assert_eq!(rows_of(&other.simple_query("SELECT 1").await.unwrap()), [["1"]]);
    silent.kill().await.unwrap();
    drop(idle);
    // What a client ran that has gone is cancelled, and on the record as such.
    let mut cancelled = 0;
    for _ in 0..100 {
        cancelled = served.records("outcome").await.iter().filter(|outcome| outcome["status"] == "cancelled").count();
        if cancelled > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(cancelled, 1);
}

#[tokio::test]
async fn there_are_no_more_connections_than_the_configuration_says() {
    let served = Served::with(2, None).await;
    let (one, _two) = (served.sam().await, served.sam().await);
    let error = served.connect(&served.settings("sam", "")).await.err().unwrap();
    assert_eq!(told(&error).0, "53300");
    drop(one);
    tokio::time::sleep(Duration::from_millis(200)).await;
    served.sam().await;
}

#[tokio::test]
async fn the_server_stops_and_says_so() {
    let served = Served::new().await;
    let client = served.sam().await;
    client.simple_query("SELECT 1").await.unwrap();
    served.stop.send(true).unwrap();
    tokio::time::timeout(Duration::from_secs(5), served.serving).await.unwrap().unwrap();
    assert!(client.simple_query("SELECT 1").await.is_err());
    assert!(TcpStream::connect(served.address).await.is_err());
}

#[tokio::test]
async fn psql_shows_rows_notices_and_hints() {
    let served = Served::new().await;
    let settings = served.settings("sam", "");
    let sql = "SELECT count(*) FROM social.main.clients";
    let output = served.psql(&settings, &["SHOW wayleave.purpose", sql]).await;
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let expected = served.world.rows(&served.world.session("social_worker"), sql).await.unwrap();
    assert_eq!(out, format!("joint-needs-assessment\n{}\n", expected[0][0]), "{err}");
    assert!(err.contains("NOTICE:") && err.contains("is subject to consent"), "{err}");
    let output = served.psql(&settings, &["SELECT * FROM police.main.persons"]).await;
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("ERROR:") && err.contains("DETAIL:") && err.contains("HINT:  SHOW TABLES"), "{err}");
}

#[tokio::test]
async fn with_a_certificate_nothing_is_said_in_plain_text() {
    let keys = tempfile::tempdir().unwrap();
    let openssl = |arguments: &[&str]| {
        let made = std::process::Command::new("openssl").current_dir(keys.path()).args(arguments).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=IP:127.0.0.1,DNS:localhost",
        "-keyout",
        "server.key",
        "-out",
        "server.crt",
    ]);
    let files = CertificateFiles { certificate: keys.path().join("server.crt"), key: keys.path().join("server.key") };
    let served = Served::with(200, Some(files)).await;
    let trusting = format!("sslmode=verify-full sslrootcert={}", keys.path().join("server.crt").display());
    let output = served.psql(&served.settings("sam", &trusting), &["SELECT 1"]).await;
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1\n", "{}", String::from_utf8_lossy(&output.stderr));
    let output = served.psql(&served.settings("sam", "sslmode=disable"), &["SELECT 1"]).await;
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && err.contains("over TLS only"), "{err}");
}

#[tokio::test]
async fn statements_that_chain_too_much_are_refused_before_anything_descends_into_them() {
    let served = Served::new().await;
    let sam = served.sam().await;
    for (start, link) in [
        ("SELECT 1", "::int"),
        ("SELECT 1", " = 1"),
        ("SELECT 1", " IS NULL"),
        ("SELECT oid FROM pg_am WHERE true", " OR true"),
        ("SELECT oid FROM pg_am", " INTERSECT SELECT oid FROM pg_am"),
        ("SELECT 1 FROM health.patients", " CROSS JOIN health.patients"),
    ] {
        let sql = format!("{start}{}", link.repeat(20_000));
        let error = sam.simple_query(&sql).await.unwrap_err();
        assert_eq!(told(&error).0, "54001", "{start}{link}");
        let error = sam.prepare(&sql).await.unwrap_err();
        assert_eq!(told(&error).0, "54001", "{start}{link}");
    }
    assert_eq!(rows_of(&sam.simple_query("SELECT 1").await.unwrap()), [["1"]]);
}

#[tokio::test]
async fn nobody_works_on_for_a_client_that_has_gone() {
    let served = Served::new().await;
    let (client, connection) = tokio_postgres::connect(&served.settings("sam", ""), NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    // No row comes of it before its end, so that nothing is written by which the server would notice.
    let endless = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b";
    let asked = tokio::spawn(async move { client.simple_query(endless).await.is_err() });
    while served.records("intent").await.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    driver.abort();
    let until = Instant::now() + Duration::from_secs(20);
    while served.records("outcome").await.is_empty() {
        assert!(Instant::now() < until, "the query goes on for nobody");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(asked.await.unwrap());
}

#[tokio::test]
async fn what_is_sent_ahead_of_an_answer_is_answered_in_its_turn() {
    let served = Served::new().await;
    let sam = served.sam().await;
    let questions = (0..50).map(|number| {
        let sql = format!("SELECT count(*) + {number} FROM generate_series(1, 100000)");
        let sam = &sam;
        async move { rows_of(&sam.simple_query(&sql).await.unwrap())[0][0].parse::<i64>().unwrap() }
    });
    let answers = futures::future::join_all(questions).await;
    assert_eq!(answers, (100_000..100_050).collect::<Vec<i64>>());
}
