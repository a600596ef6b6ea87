//! What happens when something is broken: the answer is complete or it is an error, and the audit log knows.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use wayleave::error::Error;
use wayleave::session::Session;
use wayleave_connector_testkit::PostgresServer;

use crate::harness::{Backend, World, seed_directory};

const DEADLINE: Duration = Duration::from_secs(30);

/// Edits the world's `wayleave.toml`, which stands beside the policy directory.
fn edit_config(policies: &Path, edit: impl FnOnce(String) -> String) {
    let file = policies.parent().unwrap().join("wayleave.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let edited = edit(text.clone());
    assert_ne!(text, edited, "nothing was edited");
    std::fs::write(file, edited).unwrap();
}

/// Replaces the connection of one agency by these lines.
fn reconnect(text: &str, agency: &str, lines: &str) -> String {
    let head = format!("[agency.{agency}]\n");
    let start = text.find(&head).unwrap() + head.len();
    let end = start + text[start..].find("\n\n").unwrap();
    format!("{}{lines}{}", &text[..start], &text[end..])
}

fn edit_agreement(policies: &Path, file: &str, from: &str, to: &str) {
    let file = policies.join("agreements").join(file);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from:?} is not in {}", file.display());
    std::fs::write(file, text.replacen(from, to, 1)).unwrap();
}

fn records(world: &World) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(world.audit_directory().join("audit.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["body"].clone()).collect()
}

fn kinds(world: &World, query_id: &str) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    records(world)
        .iter()
        .filter(|body| body["query_id"] == query_id)
        .map(|body| (text(&body["kind"]), text(&body["status"])))
        .collect()
}

fn pair(kind: &str, status: &str) -> (String, String) {
    (kind.to_owned(), status.to_owned())
}

/// Nothing of a server's own words, of where it is or of how to log in may reach the asker.
fn assert_discreet(error: &Error) {
    let text = format!("{error} {} {}", error.detail().unwrap_or_default(), error.hint().unwrap_or_default());
    for word in ["postgres://", "127.0.0.1", "password", ".db", "wayleave-", "deceased", "valid_from"] {
        assert!(!text.contains(word), "{text:?} tells of {word:?}");
    }
}

const HEALTH: &str = "SELECT name FROM health.main.patients WHERE patient_id = 105";
const POLICE: &str = "SELECT name FROM police.main.persons WHERE person_id = 2";
const BOTH: &str = "SELECT p.patient_id FROM health.main.patients p LEFT JOIN police.main.persons q \
    ON q.nhs_number = p.nhs_number WHERE p.patient_id = 105";

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_agency_fails_what_needs_it_and_nothing_else() {
    let cases = [
        (Backend::Sqlite, "connector = \"sqlite\"\npath = \"missing.db\""),
        // Nothing listens on the port for discarded messages.
        (Backend::Postgres, "connector = \"postgres\"\nurl = \"postgres://wayleave:hunter2@127.0.0.1:9/police\""),
    ];
    for (backend, lines) in cases {
        let world =
            World::with_policies(backend, |policies| edit_config(policies, |text| reconnect(&text, "police", lines)))
                .await;
        let session = world.session("safeguarding_lead");
        assert_eq!(world.rows(&session, HEALTH).await.unwrap(), [["O'Brien, Siân"]], "{backend:?}");
        let union = format!("{HEALTH} UNION ALL {POLICE}");
        let exists = "SELECT count(*) FROM health.main.patients WHERE NOT EXISTS (SELECT 1 FROM police.main.persons)";
        for sql in [POLICE, BOTH, union.as_str(), exists] {
            let error = world.rows(&session, sql).await.unwrap_err();
            assert_eq!(error.code(), "source-unavailable", "{backend:?}: {sql}: {error}");
            assert!(error.to_string().contains("`police`"), "{backend:?}: {error}");
            assert_discreet(&error);
            assert!(!format!("{error:?} {:?}", error.operator_detail()).contains("hunter2"));
        }
        let tables = world.engine.released_tables(&session).await.unwrap();
        for table in tables.iter().filter(|table| table.table != "clients" || table.agency != "wayleave") {
            assert_eq!(table.state == "available", table.agency != "police", "{backend:?}: {table:?}");
        }
        for agency in world.engine.agencies().await {
            assert_eq!(agency.info.is_ok(), agency.agency != "police", "{backend:?}: {agency:?}");
        }
        // It is no sqlite file that a query has made.
        assert!(!world.directory().join("missing.db").exists());
        wayleave::audit::verify(&world.audit_directory()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_database_fails_alone() {
    let world = World::new(Backend::Sqlite).await;
    std::fs::write(
        world.directory().join("police.db"),
        "no database at all, but long enough to look like one".repeat(50),
    )
    .unwrap();
    let session = world.session("safeguarding_lead");
    let error = world.rows(&session, POLICE).await.unwrap_err();
    assert!(error.to_string().contains("`police`") && error.code().starts_with("source-"), "{error}");
    assert_discreet(&error);
    assert_eq!(world.rows(&session, HEALTH).await.unwrap().len(), 1);
}

/// A world of files, but for the police, who have a server of their own with many rows.
async fn police_on_a_server() -> (World, PostgresServer) {
    let server = PostgresServer::start().unwrap();
    server.create_database("police").await.unwrap();
    let seed = std::fs::read_to_string(seed_directory().join("police.sql")).unwrap();
    let many =
        "INSERT INTO persons (person_id, name) SELECT i, repeat('x', 500) FROM generate_series(1001, 300000) AS i";
    let sql = format!("CREATE SCHEMA main; SET search_path TO main; {seed}; {many}; ANALYZE");
    server.execute("police", &sql).await.unwrap();
    let url = server.url("police");
    let world = World::with_policies(Backend::Sqlite, |policies| {
        edit_config(policies, |text| reconnect(&text, "police", &format!("connector = \"postgres\"\nurl = \"{url}\"")));
    })
    .await;
    (world, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agency_that_dies_in_mid_answer_is_an_error_and_no_short_answer() {
    let (world, mut server) = police_on_a_server().await;
    let session = world.session("safeguarding_lead");
    let mut answer = world.engine.query(&session, "SELECT person_id, name FROM police.main.persons").await.unwrap();
    let id = answer.query_id.clone();
    let first = answer.batches.next().await.unwrap().unwrap();
    assert!(first.num_rows() > 0);
    server.stop();
    let mut rows = first.num_rows();
    let error = loop {
        match answer.batches.next().await {
            Some(Ok(batch)) => rows += batch.num_rows(),
            Some(Err(error)) => break Error::from(error),
            None => panic!("an answer of {rows} rows looks complete"),
        }
    };
    assert!(error.to_string().contains("`police`"), "{error}");
    assert!(["source-lost", "source-unavailable", "source-refused"].contains(&error.code()), "{}", error.code());
    assert_discreet(&error);
    assert!(answer.batches.next().await.is_none());
    assert_eq!(kinds(&world, &id), [pair("intent", ""), pair("outcome", "failed")]);

    // The others still answer, the agency is said to be away, and it comes back without a restart of ours.
    assert_eq!(world.rows(&session, HEALTH).await.unwrap().len(), 1);
    let away = world.rows(&session, POLICE).await.unwrap_err();
    assert_eq!(away.code(), "source-unavailable", "{away}");
    server.start_again().unwrap();
    assert_eq!(world.rows(&session, POLICE).await.unwrap(), [["SMITH Bert"]]);
    wayleave::audit::verify(&world.audit_directory()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aggregate_over_a_dying_agency_is_an_error() {
    let (world, mut server) = police_on_a_server().await;
    let session = world.session("safeguarding_lead");
    // The function is the engine's, so that every row comes here.
    let sql = "SELECT count(*), sum(length(reverse(name))) FROM police.main.persons p CROSS JOIN generate_series(1, 30) AS g(n)";
    let mut answer = world.engine.query(&session, sql).await.unwrap();
    let progress = std::sync::Arc::clone(&answer.progress);
    let reading = tokio::spawn(async move { answer.batches.next().await });
    let deadline = Instant::now() + DEADLINE;
    while progress.rows().iter().all(|(_, rows)| *rows == 0) {
        assert!(Instant::now() < deadline && !reading.is_finished(), "no row was read");
        tokio::task::yield_now().await;
    }
    server.stop();
    let first = reading.await.unwrap();
    assert!(matches!(first, Some(Err(_))), "{first:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_audit_log_nothing_is_sent() {
    let (world, server) = police_on_a_server().await;
    let session = world.session("safeguarding_lead");
    assert_eq!(world.rows(&session, POLICE).await.unwrap(), [["SMITH Bert"]]);
    server.execute("postgres", "ALTER SYSTEM SET log_statement = 'all'").await.unwrap();
    server.execute("postgres", "SELECT pg_reload_conf()").await.unwrap();
    let deadline = Instant::now() + DEADLINE;
    while !server.log().contains("the log is awake") {
        assert!(Instant::now() < deadline);
        server.execute("police", "SELECT 'the log is awake'").await.unwrap();
    }
    let away = world.directory().join("audit-away");
    std::fs::rename(world.audit_directory(), &away).unwrap();
    for sql in [POLICE, BOTH] {
        let error = world.rows(&session, sql).await.unwrap_err();
        assert_eq!((error.code(), error.sqlstate()), ("audit-unavailable", "58000"), "{error}");
    }
    // What policy refuses is refused all the same, and is no way round the log.
    let refused = world.rows(&session, "SELECT * FROM health.main.encounters").await.unwrap_err();
    assert!(["audit-unavailable", "table-not-released"].contains(&refused.code()), "{refused}");
    assert!(!server.log().contains("COPY ("), "{}", server.log());
    assert!(world.reopen().await.is_err());

    std::fs::rename(&away, world.audit_directory()).unwrap();
    assert_eq!(world.rows(&session, POLICE).await.unwrap(), [["SMITH Bert"]]);
    wayleave::audit::verify(&world.audit_directory()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_tampered_with_refuses_every_query() {
    let world = World::new(Backend::Sqlite).await;
    let session = world.session("safeguarding_lead");
    world.rows(&session, HEALTH).await.unwrap();
    let file = world.audit_directory().join("audit.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let cut = text.trim_end().rfind('\n').unwrap() + 1;
    std::fs::write(&file, &text[..cut]).unwrap();
    assert!(wayleave::audit::verify(&world.audit_directory()).is_err());
    assert_eq!(world.rows(&session, HEALTH).await.unwrap_err().code(), "audit-unavailable");
    std::fs::write(&file, &text).unwrap();
    wayleave::audit::verify(&world.audit_directory()).unwrap();
}

/// A writer that keeps the whole file from being read, until it is dropped.
struct Lock(rusqlite::Connection);

impl Lock {
    fn of(world: &World, agency: &str) -> Self {
        let connection = rusqlite::Connection::open(world.agency_location(agency)).unwrap();
        connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
        Self(connection)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.execute_batch("ROLLBACK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_intent_is_on_disk_before_the_source_is_asked() {
    let world = std::sync::Arc::new(World::new(Backend::Sqlite).await);
    let session = world.session("safeguarding_lead");
    // The table is known from here on: what follows asks the agency for rows and for nothing else.
    world.rows(&session, POLICE).await.unwrap();
    let lock = Lock::of(&world, "police");
    let sql = "SELECT name, warning FROM police.main.persons WHERE person_id = 2";
    let asking = {
        let (world, session) = (std::sync::Arc::clone(&world), session.clone());
        tokio::spawn(async move { world.rows(&session, sql).await })
    };
    let deadline = Instant::now() + DEADLINE;
    let intent = loop {
        if let Some(intent) = records(&world).into_iter().find(|body| body["sql"] == sql) {
            break intent;
        }
        assert!(Instant::now() < deadline, "no intent was written");
        tokio::task::yield_now().await;
    };
    assert!(!asking.is_finished());
    let id = intent["query_id"].as_str().unwrap();
    assert_eq!(kinds(&world, id), [pair("intent", "")]);
    drop(lock);
    assert_eq!(asking.await.unwrap().unwrap(), [["SMITH Bert", "dog"]]);
    assert_eq!(kinds(&world, id), [pair("intent", ""), pair("outcome", "completed")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_intent_has_its_outcome() {
    for backend in Backend::ALL {
        let world = World::new(backend).await;
        let session = world.session("safeguarding_lead");
        let completed = world.engine.query(&session, HEALTH).await.unwrap();
        let completed_id = completed.query_id.clone();
        let _rows: Vec<_> = completed.batches.try_collect().await.unwrap();

        let failed =
            world.engine.query(&session, "SELECT 1 / (patient_id - 105) FROM health.main.patients").await.unwrap();
        let failed_id = failed.query_id.clone();
        let error = failed.batches.try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(Error::from(error).code(), "execution");

        let dropped = world.engine.query(&session, HEALTH).await.unwrap();
        let dropped_id = dropped.query_id.clone();
        drop(dropped);

        let mut begun = world.engine.query(&session, "SELECT * FROM generate_series(1, 10000000)").await.unwrap();
        let begun_id = begun.query_id.clone();
        begun.batches.next().await.unwrap().unwrap();
        drop(begun);

        let refused = world.rows(&session, "SELECT * FROM health.main.encounters").await.unwrap_err();
        assert_eq!(refused.code(), "table-not-released");

        world.engine.flush_audit().await.unwrap();
        let wanted =
            [(completed_id, "completed"), (failed_id, "failed"), (dropped_id, "cancelled"), (begun_id, "cancelled")];
        for (id, status) in wanted {
            assert_eq!(kinds(&world, &id), [pair("intent", ""), pair("outcome", status)], "{backend:?}");
        }
        let refusals: Vec<_> = records(&world).into_iter().filter(|body| body["kind"] == "refusal").collect();
        assert_eq!(refusals.len(), 1, "{backend:?}");
        assert_eq!(refusals[0]["error_code"], "table-not-released", "{backend:?}");
        assert_eq!(wayleave::audit::verify(&world.audit_directory()).unwrap().records, 9, "{backend:?}");
    }
}

/// `patients` becomes a view that takes longer than the agency allows.
fn slow_view(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => {
            "ALTER TABLE patients RENAME TO real_patients; CREATE VIEW patients AS SELECT * FROM real_patients \
             WHERE (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000 + patient_id) \
             SELECT max(i) FROM n) > 0"
        }
        Backend::Postgres => {
            "ALTER TABLE patients RENAME TO real_patients; CREATE VIEW patients AS SELECT * FROM real_patients \
             WHERE pg_sleep(10) IS NOT NULL"
        }
        Backend::Mariadb | Backend::SqlServer | Backend::Files => panic!("no tables of its own world to replace"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_is_stopped() {
    for backend in Backend::ALL {
        let world = World::with_policies(backend, |policies| {
            edit_config(policies, |text| {
                text.replacen("[agency.health]\n", "[agency.health]\nstatement_timeout_ms = 700\n", 1)
            });
        })
        .await;
        world.agency_execute("health", slow_view(backend)).await;
        let session = world.session("safeguarding_lead");
        let started = Instant::now();
        for sql in [HEALTH, "SELECT count(*) FROM health.main.patients", BOTH] {
            let error = world.rows(&session, sql).await.unwrap_err();
            assert_eq!((error.code(), error.sqlstate()), ("source-timeout", "57014"), "{backend:?}: {error}");
            assert!(error.to_string().contains("`health`"), "{error}");
            assert_discreet(&error);
        }
        assert!(started.elapsed() < Duration::from_secs(9), "{backend:?}: {:?}", started.elapsed());
        assert_eq!(world.rows(&session, POLICE).await.unwrap().len(), 1, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_nobody_waits_for_stops_at_the_source() {
    let (world, server) = police_on_a_server().await;
    let view = "SET search_path TO main; ALTER TABLE persons RENAME TO real_persons; CREATE VIEW persons AS \
                SELECT * FROM real_persons WHERE person_id < 1000 AND pg_sleep(30) IS NOT NULL";
    server.execute("police", view).await.unwrap();
    let running =
        "SELECT count(*)::text FROM pg_stat_activity WHERE application_name LIKE 'wayleave %' AND state = 'active'";
    let session = world.session("safeguarding_lead");
    let mut answer = world.engine.query(&session, POLICE).await.unwrap();
    let reading = tokio::spawn(async move { answer.batches.next().await });
    let deadline = Instant::now() + DEADLINE;
    while server.query_text("postgres", running).await.unwrap().as_deref() != Some("1") {
        assert!(Instant::now() < deadline, "the statement never began");
    }
    reading.abort();
    let stopped = Instant::now();
    while server.query_text("postgres", running).await.unwrap().as_deref() != Some("0") {
        assert!(stopped.elapsed() < Duration::from_secs(3), "the statement still runs");
    }
    world.engine.flush_audit().await.unwrap();
    let last = records(&world).pop().unwrap();
    assert_eq!(last["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_register_that_cannot_be_read_refuses_the_query() {
    for backend in Backend::ALL {
        let world = World::new(backend).await;
        let (worker, coordinator) = (world.session("social_worker"), world.session("coordinator"));
        let here = "SELECT patient_id FROM health.main.patients WHERE patient_id = 105";
        let elsewhere = "SELECT client_id FROM social.main.clients WHERE client_id = 'C05'";
        assert_eq!(world.rows(&worker, here).await.unwrap(), [["105"]]);
        assert_eq!(world.rows(&worker, elsewhere).await.unwrap(), [["C05"]]);
        // Once with the register known from before, once by an engine that has never seen it.
        world.agency_execute("health", "ALTER TABLE consents RENAME TO consents_away").await;
        let fresh = world.reopen().await.unwrap();
        for sql in [here, elsewhere, "SELECT count(*) FROM health.main.encounters", "SELECT * FROM unified.clients"] {
            let known = world.rows(&worker, sql).await.unwrap_err();
            assert!(known.code().starts_with("source-") || known.code() == "register-unusable", "{backend:?}: {known}");
            assert_discreet(&known);
            let unknown = fresh.query(&worker, sql).await.unwrap_err();
            assert_eq!(unknown.code(), "register-unusable", "{backend:?}: {unknown}");
            assert!(unknown.to_string().contains("`shared-care`"), "{backend:?}: {unknown}");
            assert_discreet(&unknown);
        }
        world.agency_execute("health", "ALTER TABLE consents_away RENAME TO consents").await;
        assert_eq!(world.rows(&worker, here).await.unwrap(), [["105"]], "{backend:?}");
        // A column of it that is gone.
        world.agency_execute("health", "ALTER TABLE consents RENAME COLUMN valid_to TO valid_till").await;
        let fresh = world.reopen().await.unwrap();
        for sql in [here, elsewhere] {
            assert!(world.rows(&worker, sql).await.is_err(), "{backend:?}: {sql}");
            let error = fresh.query(&worker, sql).await.unwrap_err();
            assert_eq!(error.code(), "register-unusable", "{backend:?}: {error}");
            assert!(error.operator_detail().unwrap().contains("valid_to"), "{backend:?}");
        }
        // A register elsewhere.
        world.agency_execute("police", "DROP TABLE dissents").await;
        let error = fresh.query(&coordinator, here).await.unwrap_err();
        assert_eq!(error.code(), "register-unusable", "{backend:?}: {error}");
        // What asks no register is not concerned.
        assert_eq!(world.rows(&world.session("safeguarding_lead"), HEALTH).await.unwrap().len(), 1, "{backend:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_register_in_a_dead_agency_refuses_the_query() {
    let world = World::with_policies(Backend::Sqlite, |policies| {
        edit_config(policies, |text| reconnect(&text, "police", "connector = \"sqlite\"\npath = \"missing.db\""));
    })
    .await;
    let session = world.session("coordinator");
    for sql in ["SELECT patient_id FROM health.main.patients", "SELECT client_id FROM social.main.clients LIMIT 1"] {
        let error = world.rows(&session, sql).await.unwrap_err();
        assert_eq!(error.code(), "source-unavailable", "{error}");
        assert!(error.to_string().contains("`police`"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_that_does_not_fit_the_database_refuses_and_is_named() {
    let edits = [
        (
            "columns = [\"patient_id\", \"nhs_number\", \"name\", \"dob\"",
            "columns = [\"patient_id\", \"shoe_size\", \"nhs_number\", \"name\", \"dob\"",
            "shoe_size",
        ),
        ("rows = \"deceased = false\"", "rows = \"departed = false\"", "departed"),
        ("rows = \"deceased = false\"", "rows = \"1 / patient_id > 0\"", "the divisor could be zero"),
        ("rows = \"deceased = false\"", "rows = \"deceased = \"", "row filter"),
        ("rows = \"deceased = false\"", "rows = \"patient_id IN (SELECT 1)\"", "row filter"),
        ("mask.postcode = \"outward\"", "mask.patient_id = \"outward\"", "outward"),
        ("mask.postcode = \"outward\"", "mask.name = \"year\"", "year"),
        ("mask.postcode = \"outward\"", "mask.dob = { last = 3 }", "last"),
        ("table = \"health.main.patients\"", "table = \"health.main.unicorns\"", "no such table"),
    ];
    for backend in Backend::ALL {
        for (from, to, detail) in edits {
            let world =
                World::with_policies(backend, |policies| edit_agreement(policies, "joint-needs.toml", from, to)).await;
            let session = world.session("social_worker");
            let table = if to.contains("unicorns") { "unicorns" } else { "patients" };
            for sql in
                [format!("SELECT * FROM health.main.{table}"), format!("SELECT count(*) FROM health.main.{table}")]
            {
                let error = world.rows(&session, &sql).await.unwrap_err();
                assert_eq!(error.code(), "agreement-unusable", "{backend:?} {to}: {error}");
                assert!(error.to_string().contains("`TEST-JNA`"), "{error}");
                assert!(error.operator_detail().unwrap().contains(detail), "{to}: {:?}", error.operator_detail());
                let told = format!("{error} {:?} {:?}", error.detail(), error.hint());
                assert!(!told.contains(detail), "{to}: {told}");
            }
            // The agreement's other shares hold.
            assert!(
                !world.rows(&session, "SELECT * FROM health.main.encounters").await.unwrap().is_empty(),
                "{backend:?} {to}"
            );
            let wrong: Vec<_> = world.engine.shares().await.into_iter().filter(|share| share.state.is_err()).collect();
            assert_eq!(wrong.len(), 1, "{backend:?} {to}: {wrong:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_cannot_be_read_is_refused_by_name_and_the_rest_works() {
    let world = World::with_policies(Backend::Postgres, |policies| {
        let columns = "columns = [\"patient_id\", \"nhs_number\", \"name\", \"dob\"";
        edit_agreement(policies, "joint-needs.toml", columns, &columns.replace("\"name\"", "\"waited\", \"name\""));
    })
    .await;
    world.agency_execute("health", "ALTER TABLE patients ADD COLUMN waited interval DEFAULT '3 days'").await;
    let session: Session = world.session("social_worker");
    for sql in [
        "SELECT waited FROM health.main.patients",
        "SELECT p.waited FROM health.main.patients p WHERE p.patient_id = 105",
        "SELECT patient_id FROM health.main.patients WHERE waited IS NULL",
        "SELECT count(waited) FROM health.main.patients",
    ] {
        let error = world.rows(&session, sql).await.unwrap_err();
        assert_eq!((error.code(), error.sqlstate()), ("unreadable-column", "0A000"), "{sql}: {error}");
        assert!(error.to_string().contains("`waited`"), "{error}");
    }
    assert_eq!(world.rows(&session, HEALTH).await.unwrap(), [["O'Brien, Siân"]]);
    let (rows, notices, _) =
        world.answer(&session, "SELECT * FROM health.main.patients WHERE patient_id = 105").await.unwrap();
    assert_eq!(rows[0].len(), 7);
    assert!(notices.iter().any(|notice| notice.contains("`waited`")), "{notices:?}");
    let listed =
        world.rows(&session, "SELECT column_name FROM information_schema.columns WHERE table_name = 'patients'").await;
    assert!(!listed.unwrap().contains(&vec!["waited".to_owned()]));
}

/// A value that is not what its column declares stops those who ask for it, and nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_withheld_value_that_cannot_be_read_troubles_nobody() {
    let world = World::new(Backend::Sqlite).await;
    // Person 3 has refused in this agency's register; 128 does not pass the row filter.
    world
        .agency_execute(
            "health",
            "UPDATE patients SET name = x'ff00ff', dob = 'not a date' WHERE patient_id IN (103, 128)",
        )
        .await;
    let worker = world.session("social_worker");
    assert!(!world.rows(&worker, "SELECT name, dob FROM health.main.patients").await.unwrap().is_empty());
    world.agency_execute("health", "UPDATE patients SET name = x'ff00ff' WHERE patient_id = 101").await;
    // Whom it was released to is told that it cannot be read, and not what it is.
    let error = world.rows(&worker, "SELECT name FROM health.main.patients WHERE patient_id = 101").await.unwrap_err();
    assert_eq!(error.code(), "source-decode", "{error}");
}
