//! Memory has limits: what does not fit goes to disk and back unchanged, and what cannot fails alone, with a clear error.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt;
use wayleave::engine::Engine;
use wayleave::error::Error;
use wayleave::federate::PushdownLevel;

use crate::harness::{Backend, World, rows_of};

const DEADLINE: Duration = Duration::from_secs(30);

const SESSION: &str = "safeguarding_lead";

/// Rows of about 150 bytes each; some keys and texts repeat, some are NULL.
const INCIDENTS: &str = "WITH RECURSIVE numbers(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM numbers WHERE n < 46000)
    INSERT INTO main.incidents
    SELECT n, NULL, 'kind ' || (n % 97), printf('%0130d', (n * 7919) % 39019), (n * 31) % 31013,
        '2026-01-01 00:00:00'
    FROM numbers";

const PATIENTS: &str = "WITH RECURSIVE numbers(n) AS (SELECT 1000 UNION ALL SELECT n + 1 FROM numbers WHERE n < 31000)
    INSERT INTO main.patients (patient_id, nhs_number, name, dob)
    SELECT n, NULL, CASE WHEN n % 5 > 0 THEN printf('%0130d', (n * 7907) % 29009) END, '1950-01-01' FROM numbers";

/// Larger than the memory of one query, one way or another.
const LARGE: [(&str, &str); 10] = [
    ("sort", "SELECT role, incident_id FROM police.main.incidents ORDER BY role, incident_id"),
    ("group", "SELECT role, count(*), min(kind), sum(severity) FROM police.main.incidents GROUP BY role"),
    ("distinct", "SELECT DISTINCT role, kind FROM police.main.incidents"),
    (
        "join",
        "SELECT i.incident_id, i.role, p.name FROM police.main.incidents i
         JOIN health.main.patients p ON p.patient_id = i.severity",
    ),
    (
        "left join",
        "SELECT p.patient_id, p.name, i.role FROM health.main.patients p
         LEFT JOIN police.main.incidents i ON i.severity = p.patient_id AND i.kind <> 'kind 3'",
    ),
    (
        "full join",
        "SELECT p.patient_id, p.name, i.role FROM health.main.patients p
         FULL JOIN police.main.incidents i ON i.role = p.name",
    ),
    (
        "exists",
        "SELECT i.incident_id, i.role FROM police.main.incidents i
         WHERE EXISTS (SELECT 1 FROM health.main.patients p WHERE p.name = i.role)",
    ),
    (
        "not exists",
        "SELECT i.incident_id, i.role FROM police.main.incidents i
         WHERE NOT EXISTS (SELECT 1 FROM health.main.patients p WHERE p.name = i.role AND p.patient_id > i.severity)",
    ),
    (
        "not in",
        "SELECT i.incident_id, i.role FROM police.main.incidents i
         WHERE i.role NOT IN (SELECT p.name FROM health.main.patients p WHERE p.name IS NOT NULL)",
    ),
    (
        "join and group",
        "SELECT p.name, count(*) AS incidents FROM police.main.incidents i
         JOIN health.main.patients p ON p.name = i.role GROUP BY p.name ORDER BY incidents DESC, p.name LIMIT 50",
    ),
];

/// One list of every text: nothing of it can wait on disk.
const TOO_LARGE: &str =
    "SELECT cardinality(array_agg(role || role || role || role || role)) FROM police.main.incidents";

fn limits(directory: &Path, lines: &str) {
    let file = directory.join("wayleave.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (text, _) = text.split_once("\n[limits]").unwrap_or((&text, ""));
    let spill = directory.join("spill");
    std::fs::create_dir_all(&spill).unwrap();
    let text = format!("{text}\n[limits]\nspill_directory = \"{}\"\n{lines}\n", spill.display());
    std::fs::write(file, text).unwrap();
}

/// A world with more rows than one query's memory takes, where everything but the release runs here.
async fn world(lines: &str) -> World {
    let level = PushdownLevel::ReleasedRelations;
    let edit = |policies: &Path| limits(policies.parent().unwrap(), lines);
    let world = World::with_policies_at(Backend::Sqlite, level, edit).await;
    world.agency_execute("police", INCIDENTS).await;
    world.agency_execute("health", PATIENTS).await;
    world
}

async fn sorted_rows(engine: &Engine, world: &World, sql: &str) -> Result<Vec<Vec<String>>, Error> {
    let mut rows = rows_of(engine.query(&world.session(SESSION), sql).await?).await?;
    rows.sort();
    Ok(rows)
}

/// All memory and disk given back; a block may still be on its way from the disk.
async fn assert_nothing_left(engine: &Engine, directory: &Path, about: &str) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let used = engine.memory_in_use();
        let left = (used.reserved_bytes, used.spilled_bytes, used.spill_files);
        if left == (0, 0, 0) {
            break;
        }
        assert!(Instant::now() < deadline, "{about}: {left:?} is left");
        tokio::task::yield_now().await;
    }
    assert_eq!(std::fs::read_dir(directory.join("spill")).unwrap().count(), 0, "{about}: a spill file has a name");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_goes_to_disk_and_answers_the_same() {
    let world = world("query_memory = \"12MB\"\nprocess_memory = \"64MB\"").await;
    limits(world.directory(), "");
    let unlimited = world.reopen().await.unwrap();
    for (name, sql) in LARGE {
        let before = world.engine.memory_in_use().spill_written_bytes;
        let found = sorted_rows(&world.engine, &world, sql)
            .await
            .unwrap_or_else(|error| panic!("{name}: {error} {:?}", error.detail()));
        let expected = sorted_rows(&unlimited, &world, sql).await.unwrap();
        assert!(expected.len() > 40, "{name}: {} rows", expected.len());
        assert_eq!(expected.len(), found.len(), "{name}");
        assert!(expected == found, "{name}: the rows differ");
        assert!(world.engine.memory_in_use().spill_written_bytes > before, "{name} used no disk");
        assert_nothing_left(&world.engine, world.directory(), name).await;
    }
    // And in order, where an order was asked for.
    let (_, sql) = LARGE[0];
    let session = world.session(SESSION);
    let found = rows_of(world.engine.query(&session, sql).await.unwrap()).await.unwrap();
    let expected = rows_of(unlimited.query(&session, sql).await.unwrap()).await.unwrap();
    assert!(found == expected, "the order differs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_cannot_fit_fails_alone() {
    let world = world("query_memory = \"12MB\"\nprocess_memory = \"64MB\"").await;
    let (_, sort) = LARGE[0];
    let (failed, answered) =
        tokio::join!(sorted_rows(&world.engine, &world, TOO_LARGE), sorted_rows(&world.engine, &world, sort));
    let error = failed.unwrap_err();
    assert_eq!((error.code(), error.sqlstate()), ("out-of-memory", "53200"));
    assert_eq!(error.to_string(), "the query needs more than `limits.query_memory` allows");
    assert_eq!(error.detail().as_deref(), Some("an aggregate did not fit into the 12 MB that one query may use"));
    assert_eq!(error.hint().as_deref(), Some("narrow the question, or raise `limits.query_memory`"));
    assert!(answered.unwrap().len() > 40_000);
    assert_nothing_left(&world.engine, world.directory(), "after both").await;
    let log = std::fs::read_to_string(world.audit_directory().join("audit.jsonl")).unwrap();
    assert!(log.contains("\"out-of-memory\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_all_queries_share_is_a_limit_of_its_own() {
    let world = world("query_memory = \"12MB\"\nprocess_memory = \"12MB\"\nspill_disk = \"1MB\"").await;
    let (_, sort) = LARGE[0];
    let error = sorted_rows(&world.engine, &world, sort).await.unwrap_err();
    assert_eq!((error.code(), error.sqlstate()), ("out-of-disk", "53100"));
    assert_eq!(error.hint().as_deref(), Some("narrow the question, or raise `limits.spill_disk`"));
    assert_nothing_left(&world.engine, world.directory(), "after the disk was full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_query_leaves_nothing_behind() {
    let world = world("query_memory = \"12MB\"\nprocess_memory = \"64MB\"").await;
    for (name, sql) in [LARGE[0], LARGE[1], LARGE[5]] {
        let before = world.engine.memory_in_use().spill_written_bytes;
        let mut answer = world.engine.query(&world.session(SESSION), sql).await.unwrap();
        answer.batches.next().await.unwrap().unwrap();
        assert!(world.engine.memory_in_use().spill_written_bytes > before, "{name} used no disk");
        drop(answer);
        assert_nothing_left(&world.engine, world.directory(), name).await;
    }
}

/// Keys of health's clients narrow the police's register, in less memory than their rows take.
#[tokio::test(flavor = "multi_thread")]
async fn a_keyed_join_keeps_to_its_memory() {
    for backend in Backend::ALL {
        let edit = |policies: &Path| limits(policies.parent().unwrap(), "query_memory = \"2MB\"");
        let world = World::with_policies_at(backend, PushdownLevel::Full, edit).await;
        let clients = match backend {
            Backend::Sqlite => {
                "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 4000)
                 INSERT INTO main.clients (client_id, nhs_number, full_name)
                 SELECT 'N' || n, CASE n % 3 WHEN 0 THEN '9010001016' WHEN 1 THEN '9020000020' END,
                    printf('%0500d', n) FROM numbers"
            }
            Backend::Postgres => {
                "INSERT INTO main.clients (client_id, nhs_number, full_name)
                 SELECT 'N' || n, CASE n % 3 WHEN 0 THEN '9010001016' WHEN 1 THEN '9020000020' END,
                    lpad(n::text, 500, '0') FROM generate_series(1, 4000) AS numbers(n)"
            }
            Backend::Mariadb | Backend::SqlServer | Backend::Files => panic!("no rows of its own world to write"),
        };
        world.agency_execute("social", clients).await;
        limits(world.directory(), "");
        let unlimited = world.reopen().await.unwrap();
        for join in ["JOIN", "LEFT JOIN"] {
            let sql = format!(
                "SELECT c.client_id, c.full_name, p.person_id FROM social.main.clients c
                 {join} police.main.persons p ON p.nhs_number = c.nhs_number"
            );
            let answer = world.engine.query(&world.session(SESSION), &sql).await.unwrap();
            let keyed = answer.fragments.iter().any(|fragment| fragment.keys_from == ["social"]);
            assert!(keyed, "{backend:?} {join}: no keyed join");
            let progress = std::sync::Arc::clone(&answer.progress);
            let mut found = rows_of(answer).await.unwrap();
            found.sort();
            let expected = sorted_rows(&unlimited, &world, &sql).await.unwrap();
            assert!(expected.len() > 2000 && expected == found, "{backend:?} {join}: the rows differ");
            assert!(progress.disclosed().iter().any(|sent| sent.to == "police"), "{backend:?} {join}");
            assert!(world.engine.memory_in_use().spill_written_bytes > 0, "{backend:?} {join} used no disk");
            assert_nothing_left(&world.engine, world.directory(), join).await;
        }
    }
}
