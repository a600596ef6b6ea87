//! A key is a disclosure: keys go from one agency to another only where the agreement says so, and what went is told in the
//! plan, in the answer and in the audit log, and is what the source received.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use futures::TryStreamExt;
use wayleave::engine::FragmentReport;
use wayleave::federate::PushdownLevel;
use wayleave_connector_api::Audience;
use wayleave_connector_testkit::PostgresServer;

use crate::harness::{Backend, World, rows_of, seed_directory, text_rows};

/// Every table of the safeguarding agreement with its key, a predicate that leaves person 2 alone, and its agency.
const TABLES: [(&str, &str, &str, &str); 4] = [
    ("social.main.clients", "nhs_number", "client_id = 'C02'", "social"),
    ("health.main.patients", "nhs_number", "patient_id = 102", "health"),
    ("housing.main.tenants", "nhs_no", "tenant_id = 3", "housing"),
    ("police.main.persons", "nhs_number", "person_id = 2", "police"),
];

const SESSION: &str = "safeguarding_lead";

/// The agreement of [`SESSION`], in which these agencies disclose their keys to those.
fn disclosing(pairs: &[(&str, &[&str])]) -> impl FnOnce(&Path) + use<> {
    let list = |to: &[&str]| format!("{to:?}");
    as_written(pairs.iter().map(|(from, to)| ((*from).to_owned(), list(to))).collect())
}

/// The same with pseudonyms in the keys' place.
fn pseudonymising(pairs: &[(&str, &[&str])]) -> impl FnOnce(&Path) + use<> {
    let table = |to: &[&str]| {
        let entries: Vec<String> = to.iter().map(|agency| format!("{agency} = \"pseudonymised\"")).collect();
        format!("{{ {} }}", entries.join(", "))
    };
    as_written(pairs.iter().map(|(from, to)| ((*from).to_owned(), table(to))).collect())
}

/// The same with what each agency's shares say in TOML.
fn as_written(pairs: Vec<(String, String)>) -> impl FnOnce(&Path) + use<> {
    move |policies| {
        let file = policies.join("agreements/safeguarding.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let mut edited = String::new();
        for line in text.lines().filter(|line| !line.starts_with("disclose_keys_to")) {
            edited.push_str(line);
            edited.push('\n');
            let from = line.strip_prefix("table = \"").and_then(|table| table.split('.').next());
            if let Some((_, to)) = pairs.iter().find(|(agency, _)| Some(agency.as_str()) == from) {
                let _ = writeln!(edited, "disclose_keys_to = {to}");
            }
        }
        std::fs::write(file, edited).unwrap();
    }
}

/// Lets the source's own statistics say that a table is large, so that a look-up by keys pays.
async fn make_large(world: &World, agency: &str, table: &str) {
    let sql = if world.agency_location(agency).starts_with("postgres://") {
        format!("UPDATE pg_class SET reltuples = 10000000 WHERE oid = 'main.{table}'::regclass")
    } else {
        format!(
            "ANALYZE; DELETE FROM sqlite_stat1 WHERE tbl = '{table}'; \
             INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('{table}', NULL, '10000000')"
        )
    };
    world.agency_execute(agency, &sql).await;
}

fn receivers(fragments: &[FragmentReport]) -> BTreeSet<(String, String)> {
    fragments
        .iter()
        .flat_map(|fragment| fragment.keys_from.iter().map(|from| (from.clone(), fragment.agency.clone())))
        .collect()
}

/// Every record of the audit log, oldest first.
fn records(directory: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(directory.join("audit.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["body"].clone()).collect()
}

/// The last record of this kind.
fn last(directory: &Path, kind: &str) -> serde_json::Value {
    records(directory).into_iter().rev().find(|body| body["kind"] == kind).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_go_where_the_agreement_says_and_nowhere_else() {
    let open: [(&str, &[&str]); 4] = [
        ("social", &["health", "housing", "police"]),
        ("health", &["social", "housing", "police"]),
        ("housing", &["social", "health", "police"]),
        ("police", &["social", "health", "housing"]),
    ];
    let some: [(&str, &[&str]); 2] = [("social", &["police"]), ("health", &["housing", "police"])];
    for backend in Backend::ALL {
        for pairs in [&open[..], &some[..], &[]] {
            let world = World::with_policies(backend, disclosing(pairs)).await;
            for (table, _, _, agency) in TABLES {
                make_large(&world, agency, table.rsplit('.').next().unwrap()).await;
            }
            let session = world.session(SESSION);
            for (giver, giver_key, alone, from) in TABLES {
                for (receiver, receiver_key, _, to) in TABLES {
                    if from == to {
                        continue;
                    }
                    let allowed = pairs.iter().any(|(agency, agencies)| *agency == from && agencies.contains(&to));
                    let sql = format!(
                        "SELECT r.{receiver_key} FROM {giver} g JOIN {receiver} r ON r.{receiver_key} = g.{giver_key} \
                         WHERE g.{alone}"
                    );
                    let context = format!("{backend:?}, {from} to {to}: {sql}");
                    let (rows, _, fragments) = world.answer(&session, &sql).await.unwrap();
                    assert_eq!(rows, [["9020000020"]], "{context}");
                    let told = receivers(&fragments);
                    let wanted: BTreeSet<(String, String)> =
                        if allowed { BTreeSet::from([(from.to_owned(), to.to_owned())]) } else { BTreeSet::new() };
                    assert_eq!(told, wanted, "{context}");
                    // The statements themselves: a place for keys is there only where they may go.
                    let places = fragments.iter().filter(|fragment| fragment.sql.contains("join keys")).count();
                    assert_eq!(places, usize::from(allowed), "{context}");
                    let intent = last(&world.audit_directory(), "intent");
                    let disclosures = intent["disclosures"].as_array().unwrap();
                    assert_eq!(disclosures.len(), usize::from(allowed), "{context}");
                    let outcome = last(&world.audit_directory(), "outcome");
                    let sent = outcome["keys_disclosed"].as_array().unwrap();
                    assert_eq!(sent.len(), usize::from(allowed), "{context}");
                    if allowed {
                        assert_eq!(disclosures[0]["from"], from, "{context}");
                        assert_eq!(disclosures[0]["to"], to, "{context}");
                        assert_eq!(sent[0], serde_json::json!({ "from": [from], "to": to, "keys": 1 }), "{context}");
                    }
                    let plan = world.engine.explain(&session, &sql, Audience::Asker).await.unwrap();
                    assert_eq!(plan.contains(&format!("receives the keys of {from}")), allowed, "{context}\n{plan}");
                }
            }
            wayleave::audit::verify(&world.audit_directory()).unwrap();
        }
    }
}

/// Rows that a third agency had a part in tell of it: it must agree as well.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_tell_of_a_third_agency_need_its_word() {
    let shapes = [
        "SELECT q.person_id FROM social.main.clients c JOIN housing.main.tenants t ON t.nhs_no = c.nhs_number \
         JOIN police.main.persons q ON q.nhs_number = c.nhs_number WHERE c.client_id = 'C02'",
        "SELECT q.person_id FROM (SELECT c.nhs_number FROM social.main.clients c JOIN housing.main.tenants t \
         ON t.nhs_no = c.nhs_number WHERE c.client_id = 'C02') g JOIN police.main.persons q ON q.nhs_number = g.nhs_number",
        "SELECT q.person_id FROM (SELECT c.nhs_number FROM social.main.clients c WHERE c.client_id = 'C02' AND EXISTS \
         (SELECT 1 FROM housing.main.tenants t WHERE t.nhs_no = c.nhs_number) LIMIT 1) g \
         JOIN police.main.persons q ON q.nhs_number = g.nhs_number",
        "SELECT q.person_id FROM (SELECT c.nhs_number FROM social.main.clients c WHERE c.client_id = 'C02' AND NOT EXISTS \
         (SELECT 1 FROM housing.main.tenants t WHERE t.nhs_no = c.nhs_number AND t.tenant_id = 1) LIMIT 1) g \
         JOIN police.main.persons q ON q.nhs_number = g.nhs_number",
        "SELECT q.person_id FROM social.main.clients c JOIN police.main.persons q ON q.nhs_number = c.nhs_number \
         WHERE c.nhs_number = (SELECT t.nhs_no FROM housing.main.tenants t WHERE t.tenant_id = 3)",
        "SELECT q.person_id FROM (SELECT c.nhs_number FROM social.main.clients c WHERE c.client_id = \
         (SELECT 'C0' || max(t.tenant_id - 1) FROM housing.main.tenants t WHERE t.tenant_id = 3) LIMIT 1) g \
         JOIN police.main.persons q ON q.nhs_number = g.nhs_number",
        "SELECT q.person_id FROM (SELECT c.nhs_number FROM social.main.clients c WHERE c.client_id = 'C02' AND \
         (SELECT count(*) FROM housing.main.tenants t WHERE t.nhs_no = '9020000020') = 1) g \
         JOIN police.main.persons q ON q.nhs_number = g.nhs_number",
        "SELECT q.person_id FROM (SELECT nhs_number FROM social.main.clients WHERE client_id = 'C02' UNION ALL \
         SELECT nhs_no FROM housing.main.tenants WHERE tenant_id = 3) g \
         JOIN police.main.persons q ON q.nhs_number = g.nhs_number LIMIT 1",
        "SELECT q.person_id FROM (SELECT nhs_number FROM social.main.clients WHERE client_id = 'C02' INTERSECT \
         SELECT nhs_no FROM housing.main.tenants) g JOIN police.main.persons q ON q.nhs_number = g.nhs_number",
        "SELECT q.person_id FROM police.main.persons q WHERE q.nhs_number IN (SELECT c.nhs_number FROM social.main.clients c \
         JOIN housing.main.tenants t ON t.nhs_no = c.nhs_number WHERE c.client_id = 'C02')",
    ];
    for backend in Backend::ALL {
        let world = World::with_policies(backend, disclosing(&[("social", &["police"])])).await;
        make_large(&world, "police", "persons").await;
        let session = world.session(SESSION);
        for sql in shapes {
            let (rows, _, fragments) = world.answer(&session, sql).await.unwrap();
            assert_eq!(rows, [["2"]], "{backend:?}: {sql}");
            let police: Vec<&FragmentReport> =
                fragments.iter().filter(|fragment| fragment.agency == "police").collect();
            assert!(police.iter().all(|fragment| fragment.keys_from.is_empty()), "{backend:?}: {sql}\n{police:?}");
            let outcome = last(&world.audit_directory(), "outcome");
            assert_eq!(outcome["keys_disclosed"], serde_json::json!([]), "{backend:?}: {sql}");
        }
        // With its word they go.
        let both =
            World::with_policies(backend, disclosing(&[("social", &["police"]), ("housing", &["police"])])).await;
        make_large(&both, "police", "persons").await;
        let (rows, _, fragments) = both.answer(&session, shapes[1]).await.unwrap();
        assert_eq!(rows, [["2"]], "{backend:?}");
        let wanted =
            BTreeSet::from([("social".to_owned(), "police".to_owned()), ("housing".to_owned(), "police".to_owned())]);
        assert_eq!(receivers(&fragments), wanted, "{backend:?}");
    }
}

/// What a consent register holds are keys as well, and no agreement discloses them.
#[tokio::test(flavor = "multi_thread")]
async fn keys_of_a_register_go_nowhere() {
    for backend in Backend::ALL {
        let world = World::new(backend).await;
        for (agency, table) in [("health", "patients"), ("social", "assessments"), ("housing", "tenants")] {
            make_large(&world, agency, table).await;
        }
        for (session, sql) in [
            ("housing_researcher", "SELECT patient_id FROM health.main.patients"),
            (
                "housing_researcher",
                "SELECT p.patient_id FROM health.main.patients p JOIN housing.main.tenants t ON t.nhs_no = p.nhs_number",
            ),
            ("coordinator", "SELECT patient_id FROM health.main.patients"),
            ("researcher", "SELECT assessment_id FROM social.main.assessments"),
        ] {
            let (rows, _, fragments) = world.answer(&world.session(session), sql).await.unwrap();
            assert!(!rows.is_empty(), "{backend:?}: {sql}");
            assert_eq!(receivers(&fragments), BTreeSet::new(), "{backend:?}: {sql}");
            assert!(fragments.iter().all(|fragment| !fragment.sql.contains("join keys")), "{backend:?}: {sql}");
            let outcome = last(&world.audit_directory(), "outcome");
            assert_eq!(outcome["keys_disclosed"], serde_json::json!([]), "{backend:?}: {sql}");
        }
    }
}

/// Social care's clients are checked against two registers, of health and of police. The keys of health's patients narrow the
/// scan below both checks: one row leaves social care, where all that the agreement shares leave it without keys.
#[tokio::test(flavor = "multi_thread")]
async fn keys_go_below_the_check_of_a_register_that_a_third_agency_keeps() {
    let silent = |policies: &Path| {
        for entry in std::fs::read_dir(policies.join("agreements")).unwrap() {
            let file = entry.unwrap().path();
            let text = std::fs::read_to_string(&file).unwrap();
            let kept = text.lines().filter(|line| !line.starts_with("disclose_keys_to"));
            std::fs::write(&file, kept.collect::<Vec<_>>().join("\n")).unwrap();
        }
    };
    let sql = "SELECT p.name, c.client_id FROM health.main.patients p JOIN social.main.clients c \
               ON c.nhs_number = p.nhs_number WHERE p.patient_id = 111";
    for backend in Backend::ALL {
        let (with, without) = (World::new(backend).await, World::with_policies(backend, silent).await);
        let mut answers = Vec::new();
        let mut read = Vec::new();
        for world in [&with, &without] {
            make_large(world, "social", "clients").await;
            let (rows, _, fragments) = world.answer(&world.session("coordinator"), sql).await.unwrap();
            answers.push(rows);
            let outcome = last(&world.audit_directory(), "outcome");
            let rows_read = outcome["rows_read"].as_array().unwrap();
            let social = rows_read.iter().find(|read| read["agency"] == "social").unwrap();
            read.push((receivers(&fragments), outcome["keys_disclosed"].clone(), social["rows"].as_u64().unwrap()));
        }
        assert_eq!(answers[0].len(), 1, "{backend:?}");
        assert_eq!(answers[0][0][1], "C11", "{backend:?}");
        assert_eq!(answers[0], answers[1], "{backend:?}");
        let told = BTreeSet::from([("health".to_owned(), "social".to_owned())]);
        let sent = serde_json::json!([{ "from": ["health"], "to": "social", "keys": 1 }]);
        assert_eq!(read[0], (told, sent, 1), "{backend:?}");
        assert_eq!((&read[1].0, &read[1].1), (&BTreeSet::new(), &serde_json::json!([])), "{backend:?}");
        assert!(read[1].2 > 1, "{backend:?}: {read:?}");
    }
}

/// A world of files in which the police have a PostgreSQL server of their own, whose log holds every statement.
async fn logged_police(edit: impl FnOnce(&Path)) -> (World, PostgresServer) {
    let server = PostgresServer::start().unwrap();
    server.create_database("police").await.unwrap();
    let seed = std::fs::read_to_string(seed_directory().join("police.sql")).unwrap();
    let large = "UPDATE pg_class SET reltuples = 10000000 WHERE relname = 'persons'";
    let sql = format!("CREATE SCHEMA main; SET search_path TO main; {seed}; ANALYZE; {large}");
    server.execute("police", &sql).await.unwrap();
    server.execute("postgres", "ALTER SYSTEM SET log_statement = 'all'").await.unwrap();
    server.execute("postgres", "SELECT pg_reload_conf()").await.unwrap();
    let url = server.url("police");
    let world = World::with_policies(Backend::Sqlite, move |policies| {
        edit(policies);
        let file = policies.parent().unwrap().join("wayleave.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let here = "connector = \"sqlite\"\npath = \"police.db\"";
        assert!(text.contains(here));
        std::fs::write(file, text.replace(here, &format!("connector = \"postgres\"\nurl = \"{url}\""))).unwrap();
    })
    .await;
    // From here on the log has every statement: the reload has come through.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !server.log().contains("the log is awake") {
        assert!(std::time::Instant::now() < deadline, "no statement is logged:\n{}", server.log());
        server.execute("police", "SELECT 'the log is awake'").await.unwrap();
    }
    (world, server)
}

/// The statements that read rows, as the server logged them.
fn received(server: &PostgresServer) -> Vec<String> {
    server.log().lines().filter(|line| line.contains("COPY (")).map(str::to_owned).collect()
}

const SOCIAL_TO_POLICE: &str = "SELECT q.person_id FROM social.main.clients c JOIN police.main.persons q \
    ON q.nhs_number = c.nhs_number WHERE c.client_id = 'C02'";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_receives_the_keys_it_may_have() {
    let (world, server) = logged_police(disclosing(&[("social", &["police"])])).await;
    let session = world.session(SESSION);
    assert_eq!(world.rows(&session, SOCIAL_TO_POLICE).await.unwrap(), [["2"]]);
    let statements = received(&server);
    assert!(!statements.is_empty(), "{}", server.log());
    assert!(statements.iter().all(|sql| sql.contains("902-000-0020")), "{statements:?}");
    assert!(!server.log().contains("901-000-1016") && !server.log().contains("903-000-0031"));

    // No key, no statement.
    let before = received(&server).len();
    let nobody = SOCIAL_TO_POLICE.replace("c.client_id = 'C02'", "c.client_id = 'nobody'");
    assert!(world.rows(&session, &nobody).await.unwrap().is_empty());
    assert_eq!(received(&server).len(), before, "{:?}", received(&server));
    let outcome = last(&world.audit_directory(), "outcome");
    assert_eq!(outcome["keys_disclosed"], serde_json::json!([]));
    assert_eq!(outcome["statements_run"], 1);

    // Nor where the only key is NULL.
    let unknown = SOCIAL_TO_POLICE.replace("c.client_id = 'C02'", "c.client_id = 'C92'");
    assert!(world.rows(&session, &unknown).await.unwrap().is_empty());
    assert_eq!(received(&server).len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_receives_no_key_it_may_not_have() {
    let (world, server) = logged_police(disclosing(&[("police", &["social"])])).await;
    let session = world.session(SESSION);
    for sql in [
        SOCIAL_TO_POLICE,
        "SELECT q.person_id FROM health.main.patients c JOIN police.main.persons q ON q.nhs_number = c.nhs_number \
         WHERE c.patient_id = 102",
        "SELECT q.person_id FROM police.main.persons q WHERE q.nhs_number IN (SELECT nhs_no FROM housing.main.tenants \
         WHERE tenant_id = 3)",
        "SELECT q.person_id FROM police.main.persons q WHERE q.nhs_number = (SELECT nhs_number FROM social.main.clients \
         WHERE client_id = 'C02')",
        "SELECT q.person_id FROM social.main.clients c LEFT JOIN police.main.persons q ON q.nhs_number = c.nhs_number \
         WHERE c.client_id = 'C02'",
        "SELECT x.person_id FROM social.main.clients c, LATERAL (SELECT person_id FROM police.main.persons q \
         WHERE q.nhs_number = c.nhs_number) AS x WHERE c.client_id = 'C02'",
    ] {
        assert_eq!(world.rows(&session, sql).await.unwrap(), [["2"]], "{sql}");
    }
    assert!(received(&server).len() >= 6);
    let log = server.log();
    for key in ["902-000-0020", "9020000020", "902 000 0020"] {
        assert!(!log.contains(key), "the server received {key}:\n{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_receives_pseudonyms_in_the_place_of_keys() {
    let (world, server) = logged_police(pseudonymising(&[("social", &["police"])])).await;
    let session = world.session(SESSION);
    let some = "SELECT c.client_id, q.person_id FROM social.main.clients c JOIN police.main.persons q \
                ON q.nhs_number = c.nhs_number WHERE c.client_id IN ('C01', 'C02', 'C92')";
    let (mut rows, _, fragments) = world.answer(&session, some).await.unwrap();
    rows.sort();
    assert_eq!(rows, [["C01", "1"], ["C02", "2"]]);
    assert_eq!(receivers(&fragments), BTreeSet::from([("social".to_owned(), "police".to_owned())]));
    let statements = received(&server);
    assert_eq!(statements.len(), 1, "{statements:?}");
    assert!(statements[0].contains("sha256("), "{statements:?}");
    let log = server.log();
    for number in ["902-000-0020", "9020000020", "902 000 0020", "901-000-1016", "9010001016", "901 000 1016"] {
        assert!(!log.contains(number), "the server received {number}:\n{log}");
    }
    // What pseudonyms are made with goes beside the statement.
    assert!(statements[0].contains("current_setting('wayleave.inner_pad')"), "{statements:?}");

    // Only rows that match have left the server; the audit log says as what the keys went, before and after.
    let intent = last(&world.audit_directory(), "intent");
    assert_eq!(
        intent["disclosures"],
        serde_json::json!([{ "from": "social", "to": "police", "scheme": "subject key", "pseudonymised": true }])
    );
    let outcome = last(&world.audit_directory(), "outcome");
    assert_eq!(
        outcome["keys_disclosed"],
        serde_json::json!([{ "from": ["social"], "to": "police", "keys": 2, "pseudonymised": true }])
    );
    let read = outcome["rows_read"].as_array().unwrap().iter().find(|read| read["agency"] == "police").unwrap();
    assert_eq!(read["rows"], 2, "{outcome}");
    let audit = std::fs::read_to_string(world.audit_directory().join("audit.jsonl")).unwrap();
    assert!(audit.contains("pseudonyms of join keys, made when the query runs"), "{audit}");

    // EXPLAIN says it as well.
    let plan = world.engine.explain(&session, some, Audience::Asker).await.unwrap();
    for words in [
        "pseudonymised keys of social go to police",
        "receives the pseudonymised keys of social, disclosed under TEST-SAFE",
        "/* pseudonyms of join keys, made when the query runs */",
    ] {
        assert!(plan.contains(words), "{words}\n{plan}");
    }
    let measured = world.rows(&session, &format!("EXPLAIN (ANALYZE, TIMING off) {some}")).await.unwrap();
    let text: Vec<String> = measured.concat();
    assert!(text.iter().any(|line| line.contains("2 pseudonymised keys received")), "{text:?}");

    // Each run has a secret of its own: the same keys are sent as others.
    let again = received(&server);
    let pseudonyms = |statement: &str| statement.split_once("ANY (").map(|(_, list)| list.to_owned());
    assert_eq!(again.len(), 2);
    assert_ne!(pseudonyms(&again[0]), pseudonyms(&again[1]));
    assert!(pseudonyms(&again[0]).is_some());

    // No key, no statement.
    let nobody = some.replace("('C01', 'C02', 'C92')", "('C92', 'nobody')");
    assert!(world.rows(&session, &nobody).await.unwrap().is_empty());
    assert_eq!(received(&server).len(), 2);
}

/// Keys that several agencies have a part in go as the most reticent says, also where they go on from one join to the next.
#[tokio::test(flavor = "multi_thread")]
async fn the_most_reticent_agency_decides_as_what_keys_go() {
    let joined = "SELECT q.person_id FROM (SELECT c.nhs_number FROM social.main.clients c JOIN housing.main.tenants t \
                  ON t.nhs_no = c.nhs_number WHERE c.client_id = 'C02') g \
                  JOIN police.main.persons q ON q.nhs_number = g.nhs_number";
    let (plain, hidden) = ("[\"police\", \"housing\"]", "{ police = \"pseudonymised\", housing = \"plain\" }");
    for backend in Backend::ALL {
        for (social, housing, wanted) in [
            (plain, plain, Some(false)),
            (hidden, plain, Some(true)),
            (plain, hidden, Some(true)),
            (hidden, hidden, Some(true)),
            (hidden, "[\"health\"]", None),
        ] {
            let written = [("social", social), ("housing", housing)].map(|(from, to)| (from.to_owned(), to.to_owned()));
            let world = World::with_policies(backend, as_written(written.into())).await;
            make_large(&world, "police", "persons").await;
            make_large(&world, "housing", "tenants").await;
            let rows = world.rows(&world.session(SESSION), joined).await.unwrap();
            assert_eq!(rows, [["2"]], "{backend:?}");
            let outcome = last(&world.audit_directory(), "outcome");
            let sent = outcome["keys_disclosed"].as_array().unwrap();
            let police = sent.iter().find(|sent| sent["to"] == "police");
            let found = police.map(|sent| sent["pseudonymised"] == true);
            assert_eq!(found, wanted, "{backend:?}, social {social}, housing {housing}: {outcome}");
        }
    }
}

/// Two tables of one agency wait for keys, of one agency in two columns or of two agencies: each table is narrowed by its own.
#[tokio::test(flavor = "multi_thread")]
async fn several_columns_of_keys_narrow_each_its_own_table() {
    let both = "(SELECT p.nhs_number AS pk, i.nhs_number AS ik, p.person_id, i.incident_id FROM police.main.persons p \
                JOIN police.main.incidents i ON i.severity = p.person_id)";
    let of_two = format!(
        "SELECT f.person_id, f.incident_id FROM social.main.clients c JOIN {both} f ON f.pk = c.nhs_number \
         JOIN health.main.patients h ON h.nhs_number = f.ik WHERE c.client_id = 'C02' AND h.patient_id = 101"
    );
    let of_one = format!(
        "SELECT f.person_id, f.incident_id FROM (SELECT c.nhs_number AS a, d.nhs_number AS b FROM social.main.clients c \
         CROSS JOIN social.main.clients d WHERE c.client_id = 'C02' AND d.client_id IN ('C01', 'C05') LIMIT 10) g \
         JOIN {both} f ON f.pk = g.a AND f.ik = g.b"
    );
    for backend in Backend::ALL {
        for (kind, pseudonymised) in [("plain", false), ("pseudonymised", true)] {
            let to = format!("{{ police = \"{kind}\" }}");
            let written = ["social", "health"].map(|from| (from.to_owned(), to.clone()));
            let world = World::with_policies(backend, as_written(written.into())).await;
            for table in ["persons", "incidents"] {
                make_large(&world, "police", table).await;
            }
            let session = world.session(SESSION);
            for (sql, givers, wanted) in
                [(&of_two, vec!["social", "health"], [1, 1]), (&of_one, vec!["social"], [1, 2])]
            {
                let (rows, _, fragments) = world.answer(&session, sql).await.unwrap();
                assert_eq!(rows, [["2", "2"]], "{backend:?}, {kind}: {sql}");
                let told: BTreeSet<(String, String)> =
                    givers.iter().map(|from| ((*from).to_owned(), "police".to_owned())).collect();
                assert_eq!(receivers(&fragments), told, "{backend:?}, {kind}: {sql}");
                let outcome = last(&world.audit_directory(), "outcome");
                let sent = outcome["keys_disclosed"].as_array().unwrap();
                let mut counts: Vec<u64> = sent.iter().map(|sent| sent["keys"].as_u64().unwrap()).collect();
                counts.sort_unstable();
                assert_eq!(counts, wanted, "{backend:?}, {kind}: {outcome}");
                assert!(sent.iter().all(|sent| (sent["pseudonymised"] == true) == pseudonymised), "{outcome}");
                let read = outcome["rows_read"].as_array().unwrap().iter().find(|read| read["agency"] == "police");
                assert_eq!(read.unwrap()["rows"], 1, "{backend:?}, {kind}: {outcome}");
            }
            // Where one column has no key, no key of the other is told.
            let nobody = of_one.replace("c.client_id = 'C02'", "c.client_id = 'C92'");
            assert!(world.rows(&session, &nobody).await.unwrap().is_empty());
            let outcome = last(&world.audit_directory(), "outcome");
            assert_eq!(outcome["keys_disclosed"], serde_json::json!([]), "{backend:?}, {kind}: {outcome}");
            let police = outcome["rows_read"].as_array().unwrap().iter().find(|read| read["agency"] == "police");
            assert_eq!(police, None, "{outcome}");
        }
    }
}

/// The keys of an own question are the asker's to name: no agency's are disclosed by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_asker_names_reaches_every_agency() {
    let (world, server) = logged_police(disclosing(&[])).await;
    let sql = "SELECT q.person_id FROM social.main.clients c JOIN police.main.persons q ON q.nhs_number = c.nhs_number \
               WHERE c.nhs_number = '9020000020'";
    let (rows, _, fragments) = world.answer(&world.session(SESSION), sql).await.unwrap();
    assert_eq!(rows, [["2"]]);
    assert_eq!(receivers(&fragments), BTreeSet::new());
    assert!(received(&server).iter().all(|sql| sql.contains("902-000-0020")), "{:?}", received(&server));
}

/// A valid number of ten digits for each of `0..`, as far as the check digit allows.
fn numbers(count: usize) -> Vec<String> {
    (0_u32..)
        .filter_map(|n| {
            let nine = format!("1{n:08}");
            let sum: u32 =
                nine.bytes().zip((2..=10).rev()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
            let check = (11 - sum % 11) % 11;
            (check < 10).then(|| format!("{nine}{check}"))
        })
        .take(count)
        .collect()
}

fn grouped(number: &str, separator: &str) -> String {
    [&number[..3], &number[3..6], &number[6..]].join(separator)
}

/// Inserts rows in statements of a few thousand.
async fn fill(world: &World, agency: &str, into: &str, rows: &[String]) {
    for chunk in rows.chunks(5_000) {
        world.agency_execute(agency, &format!("INSERT INTO {into} VALUES {}", chunk.join(", "))).await;
    }
    world.agency_execute(agency, "ANALYZE").await;
}

/// More keys than one statement takes, with keys that come twice, keys of one side only, NULL, and numbers in three forms.
async fn large(backend: Backend, level: PushdownLevel) -> World {
    let all: [(&str, &[&str]); 2] = [("social", &["police", "housing"]), ("police", &["social"])];
    let world = World::with_policies_at(backend, level, disclosing(&all)).await;
    let numbers = numbers(32_000);
    let mut clients = Vec::new();
    for (n, number) in numbers.iter().take(30_000).enumerate() {
        clients.push(format!("('G{n}', '{number}', 'g{n}', NULL, NULL, NULL, NULL)"));
        if n % 100 == 0 {
            clients.push(format!("('D{n}', '{number}', 'd{n}', NULL, NULL, NULL, NULL)"));
        }
    }
    clients.extend((0..50).map(|n| format!("('N{n}', NULL, 'n{n}', NULL, NULL, NULL, NULL)")));
    fill(&world, "social", "clients", &clients).await;
    let persons: Vec<String> = numbers
        .iter()
        .enumerate()
        .skip(10)
        .map(|(n, number)| format!("({}, '{}', 'p{n}', NULL, NULL)", n + 1_000, grouped(number, "-")))
        .chain((0..50).map(|n| format!("({}, NULL, 'n{n}', NULL, NULL)", n + 100_000)))
        .collect();
    fill(&world, "police", "persons", &persons).await;
    let tenants: Vec<String> = numbers
        .iter()
        .enumerate()
        .skip(20)
        .map(|(n, number)| {
            let written = grouped(number, ["", " ", "-"][n % 3]);
            format!("({}, '{written}', 't{n}', NULL, NULL)", n + 1_000)
        })
        .collect();
    fill(&world, "housing", "tenants", &tenants).await;
    make_large(&world, "police", "persons").await;
    make_large(&world, "housing", "tenants").await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_thousand_keys_give_the_exact_answer() {
    for backend in Backend::ALL {
        let keyed = large(backend, PushdownLevel::Full).await;
        let session = keyed.session(SESSION);
        // 29,990 of one side and every hundredth of it twice, but for the first; persons 1, 2, 3, 5, 14, 24 and 28.
        let (persons, tenants) = (29_990 + 299 + 7, 29_980 + 299);
        let sql = "SELECT c.client_id, q.person_id FROM social.main.clients c JOIN police.main.persons q \
                   ON q.nhs_number = c.nhs_number WHERE c.client_id > '' AND c.client_id < 'zz'";
        let answer = keyed.engine.query(&session, sql).await.unwrap();
        assert_eq!(
            receivers(&answer.fragments),
            BTreeSet::from([("social".to_owned(), "police".to_owned())]),
            "{backend:?}"
        );
        let progress = std::sync::Arc::clone(&answer.progress);
        let rows = rows_of(answer).await.unwrap();
        assert_eq!(rows.len(), persons, "{backend:?}");
        let distinct: BTreeSet<&Vec<String>> = rows.iter().collect();
        assert_eq!(distinct.len(), persons, "{backend:?}: a pair came twice");
        assert!(rows.iter().all(|row| {
            let client = row[0].trim_start_matches(['G', 'D']).parse::<usize>();
            client.is_err() || client.unwrap() + 1_000 == row[1].parse::<usize>().unwrap()
        }));
        let sent = progress.disclosed();
        // The seed's clients have 15 valid numbers.
        assert_eq!((sent.len(), sent[0].keys), (1, 30_015), "{backend:?}: {sent:?}");
        let outcome = last(&keyed.audit_directory(), "outcome");
        assert_eq!(outcome["statements_run"], 3, "{backend:?}: {outcome}");

        let sql = "SELECT count(*), count(DISTINCT t.tenant_id) FROM social.main.clients c JOIN housing.main.tenants t \
                   ON t.nhs_no = c.nhs_number WHERE t.tenant_id > 1000 AND c.client_id > '' AND c.client_id < 'zz'";
        let (rows, _, fragments) = keyed.answer(&session, sql).await.unwrap();
        assert_eq!(receivers(&fragments), BTreeSet::from([("social".to_owned(), "housing".to_owned())]), "{backend:?}");
        assert_eq!(rows, [[tenants.to_string(), "29980".to_owned()]], "{backend:?}");
    }
}

/// Every kind of join over few keys: with keys sent and without, the answer is the same.
#[tokio::test(flavor = "multi_thread")]
async fn keyed_joins_of_every_kind_are_exact() {
    let on = "q.nhs_number = c.nhs_number";
    let some = "c.client_id IN ('C01', 'C02', 'C06', 'C90', 'C92', 'D02')";
    let queries = [
        format!("SELECT c.client_id, q.person_id FROM social.main.clients c JOIN police.main.persons q ON {on} WHERE {some}"),
        format!("SELECT c.client_id, q.person_id FROM social.main.clients c LEFT JOIN police.main.persons q ON {on} WHERE {some}"),
        format!("SELECT c.client_id, q.person_id FROM police.main.persons q RIGHT JOIN social.main.clients c ON {on} WHERE {some}"),
        format!("SELECT c.client_id, q.person_id FROM (SELECT * FROM social.main.clients c WHERE {some}) c FULL JOIN police.main.persons q ON {on}"),
        format!("SELECT c.client_id, q.person_id FROM (SELECT * FROM social.main.clients c WHERE {some}) c RIGHT JOIN police.main.persons q ON {on}"),
        format!("SELECT client_id FROM social.main.clients c WHERE {some} AND EXISTS (SELECT 1 FROM police.main.persons q WHERE {on})"),
        format!("SELECT client_id FROM social.main.clients c WHERE {some} AND NOT EXISTS (SELECT 1 FROM police.main.persons q WHERE {on})"),
        format!("SELECT client_id FROM social.main.clients c WHERE {some} AND c.nhs_number IN (SELECT nhs_number FROM police.main.persons)"),
        format!("SELECT client_id FROM social.main.clients c WHERE {some} AND c.nhs_number NOT IN (SELECT nhs_number FROM police.main.persons)"),
        format!("SELECT client_id FROM social.main.clients c WHERE {some} AND (c.client_id = 'C90' OR EXISTS (SELECT 1 FROM police.main.persons q WHERE {on}))"),
        format!("SELECT person_id FROM police.main.persons q WHERE EXISTS (SELECT 1 FROM social.main.clients c WHERE {some} AND {on})"),
        format!("SELECT person_id FROM police.main.persons q WHERE NOT EXISTS (SELECT 1 FROM social.main.clients c WHERE {some} AND {on})"),
        format!("SELECT c.client_id, q.person_id FROM social.main.clients c JOIN police.main.persons q ON {on} AND q.warning = 'dog' AND length(c.full_name) > 3 WHERE {some}"),
        format!("SELECT c.client_id, q.person_id FROM social.main.clients c LEFT JOIN police.main.persons q ON {on} AND q.person_id < length(c.full_name) WHERE {some}"),
        format!("SELECT c.client_id, i.incident_id FROM social.main.clients c JOIN police.main.incidents i ON i.nhs_number = c.nhs_number WHERE {some}"),
        format!("SELECT c.client_id, x.n FROM social.main.clients c JOIN (SELECT nhs_number, count(*) AS n FROM police.main.incidents GROUP BY nhs_number) x ON x.nhs_number = c.nhs_number WHERE {some}"),
        format!("SELECT c.client_id, x.n FROM social.main.clients c LEFT JOIN (SELECT nhs_number, max(severity) AS n FROM police.main.incidents GROUP BY nhs_number) x ON x.nhs_number = c.nhs_number WHERE {some}"),
        format!("SELECT c.client_id, x.person_id FROM social.main.clients c JOIN (SELECT * FROM police.main.persons ORDER BY person_id LIMIT 3) x ON x.nhs_number = c.nhs_number WHERE {some}"),
        format!("SELECT c.client_id, x.person_id FROM social.main.clients c JOIN (SELECT p.*, row_number() OVER (ORDER BY person_id) AS r FROM police.main.persons p) x ON x.nhs_number = c.nhs_number WHERE {some} AND x.r < 4"),
        format!("SELECT c.client_id, x.person_id, x.incident_id FROM social.main.clients c JOIN (SELECT p.nhs_number, p.person_id, i.incident_id FROM police.main.persons p LEFT JOIN police.main.incidents i ON i.nhs_number = p.nhs_number) x ON x.nhs_number = c.nhs_number WHERE {some}"),
        format!("SELECT c.client_id, x.person_id, x.incident_id FROM social.main.clients c JOIN (SELECT i.nhs_number, p.person_id, i.incident_id FROM police.main.persons p LEFT JOIN police.main.incidents i ON i.nhs_number = p.nhs_number) x ON x.nhs_number = c.nhs_number WHERE {some}"),
        format!("SELECT c.client_id, x.id FROM social.main.clients c JOIN (SELECT nhs_number, person_id AS id FROM police.main.persons UNION ALL SELECT nhs_number, incident_id FROM police.main.incidents) x ON x.nhs_number = c.nhs_number WHERE {some}"),
        "SELECT c.client_id, q.person_id FROM social.main.clients c JOIN police.main.persons q ON q.nhs_number = c.nhs_number AND q.name = c.full_name WHERE c.client_id = 'C02'".to_owned(),
        "SELECT count(*) FROM social.main.clients c JOIN police.main.persons q ON q.nhs_number IS NOT DISTINCT FROM c.nhs_number WHERE c.client_id IN ('C02', 'C92')".to_owned(),
        "SELECT count(*) FROM social.main.clients c JOIN police.main.persons q ON q.nhs_number = c.nhs_number WHERE c.client_id = 'nobody'".to_owned(),
    ];
    let extra = "INSERT INTO clients VALUES ('D02', '9020000020', 'Bert Again', NULL, NULL, NULL, NULL)";
    for backend in Backend::ALL {
        let pairs: [(&str, &[&str]); 2] = [("social", &["police"]), ("police", &["social"])];
        let with = World::with_policies(backend, disclosing(&pairs)).await;
        let pseudonymised = World::with_policies(backend, pseudonymising(&pairs)).await;
        let without = World::with_policies_at(backend, PushdownLevel::ReleasedRelations, disclosing(&pairs)).await;
        let mut keyed = 0;
        for world in [&with, &pseudonymised, &without] {
            world.agency_execute("social", extra).await;
            make_large(world, "police", "persons").await;
            make_large(world, "police", "incidents").await;
        }
        let session = with.session(SESSION);
        for sql in &queries {
            let (mut rows, _, fragments) = with.answer(&session, sql).await.unwrap();
            let (mut plain, _, plain_fragments) = without.answer(&session, sql).await.unwrap();
            assert_eq!(receivers(&plain_fragments), BTreeSet::new());
            keyed += receivers(&fragments).len();
            let (mut hidden, _, hidden_fragments) = pseudonymised.answer(&session, sql).await.unwrap();
            assert_eq!(receivers(&hidden_fragments), receivers(&fragments), "{backend:?}: {sql}");
            let outcome = last(&pseudonymised.audit_directory(), "outcome");
            let sent = outcome["keys_disclosed"].as_array().unwrap();
            assert!(sent.iter().all(|sent| sent["pseudonymised"] == true), "{backend:?}: {sql}: {outcome}");
            rows.sort();
            plain.sort();
            hidden.sort();
            assert_eq!(rows, plain, "{backend:?}: {sql}");
            assert_eq!(hidden, plain, "{backend:?}: {sql}");
        }
        assert!(keyed >= 12, "{backend:?}: only {keyed} of {} joins sent keys", queries.len());
    }
}

/// What the audit log says before and after is what happened.
#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_tells_which_keys_went_where() {
    for backend in Backend::ALL {
        let world = World::with_policies(backend, disclosing(&[("social", &["police"])])).await;
        make_large(&world, "police", "persons").await;
        let session = world.session(SESSION);
        let sql = "SELECT q.person_id FROM social.main.clients c JOIN police.main.persons q ON q.nhs_number = c.nhs_number \
                   WHERE c.client_id IN ('C01', 'C02')";
        let answer = world.engine.query(&session, sql).await.unwrap();
        let id = answer.query_id.clone();
        let batches: Vec<_> = answer.batches.try_collect().await.unwrap();
        assert_eq!(text_rows(&batches).len(), 2, "{backend:?}");
        let of_query: Vec<serde_json::Value> =
            records(&world.audit_directory()).into_iter().filter(|body| body["query_id"] == id.as_str()).collect();
        let [intent, outcome] = of_query.as_slice() else { panic!("{of_query:?}") };
        assert_eq!(intent["kind"], "intent");
        assert_eq!(intent["sql"], sql);
        assert_eq!(intent["case_reference"], "CASE-7");
        assert_eq!(intent["agreements"][0]["id"], "TEST-SAFE");
        let police = intent["statements"].as_array().unwrap().iter().find(|one| one["agency"] == "police").unwrap();
        assert_eq!(police["keys_from"], serde_json::json!(["social"]));
        assert_eq!(outcome["status"], "completed");
        assert_eq!(outcome["rows_returned"], 2);
        assert_eq!(outcome["keys_disclosed"], serde_json::json!([{ "from": ["social"], "to": "police", "keys": 2 }]));
        assert_eq!(outcome["statements_run"], 2);
        // The log holds nobody's number but where the asker wrote it.
        let log = std::fs::read_to_string(world.audit_directory().join("audit.jsonl")).unwrap();
        for key in ["9020000020", "902-000-0020", "9010001016", "901-000-1016"] {
            assert!(!log.contains(key), "{backend:?}: {key}");
        }
    }
}
