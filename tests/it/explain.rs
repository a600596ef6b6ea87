//! EXPLAIN and EXPLAIN ANALYZE as programs read them: the JSON's fields, what is measured, and what the audit log holds of it.

use serde_json::{Value, json};
use wayleave::engine::{ExplainFormat, Run};
use wayleave::federate::PushdownLevel;
use wayleave_connector_api::Audience;

use crate::harness::{Backend, World};

const KEYED: &str = "SELECT p.name, e.kind FROM health.main.patients p JOIN social.main.clients c ON c.nhs_number = p.nhs_number \
                     JOIN health.main.encounters e ON e.nhs_number = c.nhs_number WHERE c.client_id = 'C01'";

async fn json_of(world: &World, session: &str, sql: &str) -> Value {
    let rows = world.rows(&world.session(session), sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_eq!((rows.len(), rows[0].len()), (1, 1), "{sql}");
    serde_json::from_str(&rows[0][0]).unwrap()
}

async fn for_the_operator(world: &World, session: &str, sql: &str, run: Run) -> Value {
    let explained = world.engine.explanation(&world.session(session), sql, Audience::Source, run).await.unwrap();
    serde_json::from_str(&explained.written(ExplainFormat::Json)).unwrap()
}

/// Every step of a plan, from the top.
fn steps(plan: &Value) -> Vec<&Value> {
    let below = plan["inputs"].as_array().unwrap().iter().flat_map(steps);
    std::iter::once(plan).chain(below).collect()
}

fn step<'a>(explained: &'a Value, does: &str) -> &'a Value {
    steps(&explained["plan"])
        .into_iter()
        .find(|step| step["does"] == does)
        .unwrap_or_else(|| panic!("{does}: {explained:#}"))
}

fn records(world: &World, kind: &str) -> Vec<Value> {
    let log = std::fs::read_to_string(world.audit_directory().join("audit.jsonl")).unwrap();
    let bodies = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["body"].clone());
    bodies.filter(|body| body["kind"] == kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn json_has_the_fields_that_are_promised() {
    let world = World::new(Backend::Sqlite).await;
    let explained = json_of(
        &world,
        "social_worker",
        "EXPLAIN (FORMAT json) SELECT name FROM health.main.patients WHERE length(name) > 5",
    )
    .await;
    assert_eq!(explained["version"], 1);
    let fragments = explained["fragments"].as_array().unwrap();
    assert_eq!(fragments.len(), 1);
    let sql = fragments[0]["sql"].as_str().unwrap();
    assert!(sql.contains("released('TEST-JNA')"), "{sql}");
    assert_eq!(
        fragments[0],
        json!({
            "number": 1,
            "agency": "health",
            "role": "released",
            "tables": ["main.patients"],
            "agreements": ["TEST-JNA"],
            "consent": [{
                "agreement": "TEST-JNA", "registers": ["shared-care"], "rule": "persons who refused are withheld"
            }],
            "keys_from": [],
            "sql": sql,
        })
    );
    let agreement =
        json!({ "id": "TEST-JNA", "title": "Joint assessment of older people", "owner": "dpo@torbay.example" });
    assert_eq!(explained["agreements"], json!([agreement]));
    assert_eq!(explained["notices"].as_array().unwrap().len(), 2);
    assert!(explained.get("measured").is_none());
    let root = &explained["plan"];
    assert_eq!((&root["does"], &root["words"]), (&json!("answer"), &json!("answer: name")));
    assert_eq!(step(&explained, "fragment")["fragment"], 1);
}

/// The operator sees SQL as it runs, and estimates; the asker neither, nor how a register is read.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_operator_sees_the_asker_does_not() {
    for backend in Backend::ALL {
        let world = World::new(backend).await;
        let sql = "SELECT full_name FROM social.main.clients WHERE client_id = 'C01'";
        let asker = json_of(&world, "social_worker", &format!("EXPLAIN (ANALYZE, FORMAT json) {sql}")).await;
        let operator = for_the_operator(&world, "social_worker", sql, Run::Analyzed).await;
        let of = |explained: &Value, role: &str| {
            let fragments = explained["fragments"].as_array().unwrap();
            fragments.iter().find(|fragment| fragment["role"] == role).unwrap().clone()
        };
        let (mine, theirs) = (of(&asker, "register"), of(&operator, "register"));
        assert_eq!((mine.get("sql"), &mine["measured"], mine.get("estimated_rows")), (None, &json!("withheld"), None));
        assert!(theirs["sql"].as_str().unwrap().contains("consents"), "{theirs}");
        assert!(theirs["estimated_rows"].is_u64() && theirs["measured"]["rows"].is_u64(), "{theirs}");
        assert_eq!(of(&asker, "released")["measured"], "withheld");
        assert_eq!(of(&operator, "released")["measured"]["statements"], 1);
        assert_eq!(asker["measured"]["rows"], 1);
        assert_eq!(operator["measured"]["rows"], 1);
    }
}

/// Rows, bytes, keys and statements are those that there were, as the audit log has them as well.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_measured_is_what_was_read() {
    for backend in Backend::ALL {
        let world = World::new(backend).await;
        let sql = "SELECT c.full_name, e.kind FROM social.main.clients c JOIN health.main.encounters e \
                   ON e.nhs_number = c.nhs_number WHERE c.client_id = 'C01'";
        let answer = world.rows(&world.session("social_worker"), sql).await.unwrap();
        let explained = for_the_operator(&world, "social_worker", sql, Run::Analyzed).await;
        let outcome = records(&world, "outcome").pop().unwrap();
        let fragments = explained["fragments"].as_array().unwrap();
        let sum =
            |field: &str| -> u64 { fragments.iter().filter_map(|fragment| fragment["measured"][field].as_u64()).sum() };
        let read: u64 =
            outcome["rows_read"].as_array().unwrap().iter().map(|read| read["rows"].as_u64().unwrap()).sum();
        assert_eq!(sum("rows"), read, "{backend:?}: {explained:#}");
        assert_eq!(sum("statements"), outcome["statements_run"].as_u64().unwrap(), "{backend:?}");
        let sent: u64 =
            outcome["keys_disclosed"].as_array().unwrap().iter().map(|sent| sent["keys"].as_u64().unwrap()).sum();
        assert!(sent > 0, "{backend:?}: {outcome}");
        assert_eq!(sum("keys"), sent, "{backend:?}");
        assert_eq!(explained["measured"]["rows"], answer.len());
        for fragment in fragments.iter().filter(|fragment| fragment["measured"]["rows"] != 0) {
            let measured = &fragment["measured"];
            assert!(measured["bytes"].as_u64() > Some(0), "{fragment}");
            assert!(measured["first_row_ms"].as_f64().unwrap() <= measured["total_ms"].as_f64().unwrap(), "{fragment}");
        }
        let keyed = step(&explained, "keyed-join");
        assert_eq!(keyed["measured"]["rows"], answer.len(), "{keyed:#}");
        assert!(keyed["measured"]["compute_ms"].as_f64() > Some(0.0), "{keyed:#}");
        let to = fragments.iter().find(|fragment| fragment["tables"] == json!(["main.encounters"])).unwrap();
        assert_eq!(to["keys_from"], json!([{ "agency": "social", "under": ["TEST-JNA"] }]));
        // Who gives keys is read first.
        assert_eq!(keyed["inputs"][1]["fragment"], to["number"]);
    }
}

/// What two places of a plan ask of one agency alike is asked once, and recorded and counted once.
#[tokio::test(flavor = "multi_thread")]
async fn equal_fragments_are_read_once() {
    for backend in Backend::ALL {
        let world = World::new(backend).await;
        let session = world.session("safeguarding_lead");
        let sql = "SELECT i.kind FROM police.main.incidents i JOIN health.main.patients p ON p.patient_id > i.incident_id \
                   UNION ALL SELECT i.kind FROM police.main.incidents i JOIN housing.main.tenants t ON t.tenant_id > i.incident_id";
        let incidents = world.rows(&session, "SELECT count(*) FROM police.main.incidents").await.unwrap();
        let incidents: u64 = incidents[0][0].parse().unwrap();
        let explained = for_the_operator(&world, "safeguarding_lead", sql, Run::Analyzed).await;
        let of_police = |fragments: &Value| -> Vec<Value> {
            let mut found = fragments.as_array().unwrap().clone();
            found.retain(|fragment| fragment["agency"] == "police");
            found
        };
        let [read] = of_police(&explained["fragments"]).try_into().unwrap();
        assert_eq!((&read["measured"]["statements"], &read["measured"]["rows"]), (&json!(1), &json!(incidents)));
        let places = steps(&explained["plan"]).into_iter().filter(|step| step["fragment"] == read["number"]);
        assert_eq!(places.count(), 2, "{explained:#}");
        let intent = records(&world, "intent").pop().unwrap();
        assert_eq!(of_police(&intent["statements"]).len(), 1, "{intent}");
        let outcome = records(&world, "outcome").pop().unwrap();
        assert_eq!(of_police(&outcome["rows_read"])[0]["rows"], incidents, "{outcome}");
    }
}

/// Operations done here have the rows that they should have.
#[tokio::test(flavor = "multi_thread")]
async fn each_operation_has_its_own_rows() {
    let world = World::at_level(Backend::Sqlite, PushdownLevel::ReleasedRelations).await;
    let session = world.session("social_worker");
    let count = async |sql: &str| -> u64 { world.rows(&session, sql).await.unwrap()[0][0].parse().unwrap() };
    let all = count("SELECT count(*) FROM health.main.encounters").await;
    let dear = count("SELECT count(*) FROM health.main.encounters WHERE reverse(kind) <> 'PG'").await;
    let groups = count("SELECT count(DISTINCT clinic) FROM health.main.encounters WHERE reverse(kind) <> 'PG'").await
        + count(
            "SELECT CAST(count(*) > 0 AS INT) FROM health.main.encounters WHERE reverse(kind) <> 'PG' AND clinic IS NULL",
        )
        .await;
    let sql = "SELECT clinic, count(*) AS n FROM health.main.encounters WHERE reverse(kind) <> 'PG' GROUP BY clinic ORDER BY n, clinic";
    let explained = json_of(&world, "social_worker", &format!("EXPLAIN (ANALYZE, FORMAT json) {sql}")).await;
    let rows = |does: &str| step(&explained, does)["measured"]["rows"].clone();
    assert!(dear < all && dear > groups, "{all} {dear} {groups}");
    assert_eq!(
        [rows("fragment"), rows("filter"), rows("group"), rows("sort"), rows("answer")],
        [json!(all), json!(dear), json!(groups), json!(groups), json!(groups)],
        "{explained:#}"
    );
    let filter = step(&explained, "filter");
    assert_eq!(filter["words"], "keep rows where reverse(kind) <> 'PG'");
    assert!(filter["measured"]["compute_ms"].as_f64() > Some(0.0), "{filter}");
}

/// A join that is made here has the time of its own work.
#[tokio::test(flavor = "multi_thread")]
async fn a_join_made_here_has_its_own_time() {
    let world = World::at_level(Backend::Sqlite, PushdownLevel::ReleasedRelations).await;
    let sql = "SELECT c.full_name, k.kind FROM social.main.clients c JOIN social.main.packages k ON k.nhs_number = c.nhs_number";
    let explained = for_the_operator(&world, "social_worker", sql, Run::Analyzed).await;
    let join = step(&explained, "join");
    assert!(join["measured"]["compute_ms"].as_f64() > Some(0.0), "{join:#}");
}

/// An analysis is a query like any other to policy and audit; a plan that is only shown is none.
#[tokio::test(flavor = "multi_thread")]
async fn an_analysis_is_recorded_as_the_query_that_it_is() {
    let world = World::new(Backend::Sqlite).await;
    let sql = "EXPLAIN ANALYZE SELECT name FROM health.main.patients";
    let session = world.session("social_worker");
    world.rows(&session, "EXPLAIN SELECT name FROM health.main.patients").await.unwrap();
    assert!(records(&world, "intent").is_empty());
    let wanted = world.rows(&session, "SELECT name FROM health.main.patients").await.unwrap().len();
    world.rows(&session, sql).await.unwrap();
    let (intent, outcome) = (records(&world, "intent").pop().unwrap(), records(&world, "outcome").pop().unwrap());
    assert_eq!(intent["sql"], sql);
    assert_eq!(intent["query_id"], outcome["query_id"]);
    assert_eq!((&outcome["status"], &outcome["rows_returned"]), (&json!("completed"), &json!(wanted)));
    let refused = world.rows(&session, "EXPLAIN ANALYZE SELECT * FROM police.main.persons").await.unwrap_err();
    assert_eq!(refused.code(), "table-not-released");
    assert_eq!(records(&world, "refusal").len(), 1);
    // Nobody waits for the rest: that is recorded as well.
    let answer = world.engine.query(&session, sql).await.unwrap();
    drop(answer);
    world.engine.flush_audit().await.unwrap();
    assert_eq!(records(&world, "outcome").pop().unwrap()["status"], "cancelled");
    wayleave::audit::verify(&world.audit_directory()).unwrap();
}

/// No name that the optimizer made up, and none that counts across queries: the same query has the same plan each time.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_query_has_the_same_plan_each_time() {
    let world = World::new(Backend::Sqlite).await;
    let session = world.session("social_worker");
    for sql in [
        "SELECT upper(name) || 'x', upper(name) || 'y' FROM health.main.patients WHERE upper(name) LIKE 'S%'",
        "SELECT gp_practice, count(DISTINCT sex) FROM health.main.patients GROUP BY gp_practice",
        "SELECT name FROM health.main.patients p WHERE EXISTS (SELECT 1 FROM social.main.clients c \
         WHERE c.nhs_number = p.nhs_number) OR name = 'x'",
        "SELECT name FROM health.main.patients WHERE patient_id > (SELECT avg(encounter_id) FROM health.main.encounters)",
        "SELECT c.client_id, (SELECT count(*) FROM health.main.encounters e WHERE e.nhs_number = c.nhs_number) \
         FROM social.main.clients c",
        "SELECT * FROM unified.clients",
        KEYED,
    ] {
        let plan = world.engine.explain(&session, sql, Audience::Asker).await.unwrap();
        if std::env::var_os("WAYLEAVE_SHOW").is_some() {
            let analyzed =
                world.engine.explain(&session, &format!("EXPLAIN ANALYZE {sql}"), Audience::Asker).await.unwrap();
            println!("{sql}\n{analyzed}\n");
        }
        for made_up in ["__", "alias", "Int64", "Utf8", "Some("] {
            assert!(!plan.contains(made_up), "{made_up} in the plan of {sql}:\n{plan}");
        }
        assert_eq!(world.engine.explain(&session, sql, Audience::Asker).await.unwrap(), plan);
    }
}

/// More keys than are always sent: whether they are follows the receiver's statistics, and is not told.
#[tokio::test(flavor = "multi_thread")]
async fn what_statistics_decide_is_not_told() {
    let world = World::new(Backend::Sqlite).await;
    let rows: Vec<String> =
        (0..1_500).map(|n| format!("('K{n}', '{}', 'Many Keys', NULL, 'T', NULL, NULL)", nhs_number(n))).collect();
    let columns = "client_id, nhs_number, full_name, phone, team, note, address";
    world.agency_execute("social", &format!("INSERT INTO clients ({columns}) VALUES {}", rows.join(", "))).await;
    let sql = "EXPLAIN (ANALYZE, FORMAT json, TIMING off) SELECT c.full_name, e.kind FROM social.main.clients c \
               JOIN health.main.encounters e ON e.nhs_number = c.nhs_number WHERE c.full_name = 'Many Keys'";
    let mut told = Vec::new();
    for size in [100, 4_000_000] {
        let statistics = format!(
            "DELETE FROM sqlite_stat1 WHERE tbl = 'encounters'; INSERT INTO sqlite_stat1 VALUES ('encounters', NULL, '{size}')"
        );
        world.agency_execute("health", &statistics).await;
        let engine = world.reopen().await.unwrap();
        let answer = engine.query(&world.session("social_worker"), sql).await.unwrap();
        told.push(crate::harness::rows_of(answer).await.unwrap());
    }
    let keys: Vec<usize> =
        records(&world, "outcome").iter().map(|outcome| outcome["keys_disclosed"].as_array().unwrap().len()).collect();
    // The register is asked for those keys in any case.
    assert_eq!(keys, [1, 2], "the statistics decide");
    assert_eq!(told[0], told[1]);
}

/// A database that joins row by row is asked for the two sides where both are large. The answer is the same, and so is all
/// that the asker is told; the audit log has what was sent.
#[tokio::test(flavor = "multi_thread")]
async fn where_a_join_is_made_is_not_told() {
    let world = World::new(Backend::Sqlite).await;
    let session = world.session("safeguarding_lead");
    let join =
        "SELECT p.name, i.kind FROM police.main.incidents i JOIN police.main.persons p ON p.nhs_number = i.nhs_number";
    let questions = [
        join.to_owned(),
        format!("SELECT j.name, t.postcode FROM ({join}) j JOIN housing.main.tenants t ON t.name <> j.name"),
        format!("EXPLAIN (ANALYZE, FORMAT json, TIMING off) {join}"),
    ];
    let mut told = Vec::new();
    for size in [100, 4_000_000] {
        let statistics = format!(
            "ANALYZE; DELETE FROM sqlite_stat1; \
             INSERT INTO sqlite_stat1 VALUES ('persons', NULL, '{size}'), ('incidents', NULL, '{size}')"
        );
        world.agency_execute("police", &statistics).await;
        let engine = world.reopen().await.unwrap();
        for sql in &questions {
            let answer = engine.query(&session, sql).await.unwrap();
            let mut rows = crate::harness::rows_of(answer).await.unwrap();
            rows.sort();
            told.push(rows);
        }
    }
    let (small, large) = told.split_at(questions.len());
    assert_eq!(small, large);
    assert!(small[0].len() > 3 && small[1].len() > 3, "{small:?}");
    let sent: Vec<usize> = records(&world, "intent")
        .iter()
        .map(|intent| {
            intent["statements"].as_array().unwrap().iter().filter(|statement| statement["agency"] == "police").count()
        })
        .collect();
    assert_eq!(sent, [1, 1, 1, 2, 2, 2], "the statistics decide");
    let run: Vec<u64> =
        records(&world, "outcome").iter().map(|outcome| outcome["statements_run"].as_u64().unwrap()).collect();
    assert_eq!(run, [1, 2, 1, 2, 3, 2]);
}

/// A valid number, with its check digit (modulus 11).
fn nhs_number(n: u32) -> String {
    (0..)
        .map(|step| 400_000_000 + n * 11 + step)
        .find_map(|body| {
            let digits = body.to_string();
            let sum: u32 =
                digits.chars().zip((2..=10).rev()).map(|(digit, weight)| digit.to_digit(10).unwrap() * weight).sum();
            match 11 - sum % 11 {
                10 => None,
                11 => Some(format!("{digits}0")),
                check => Some(format!("{digits}{check}")),
            }
        })
        .unwrap()
}
