//! Planning under policy: how long a question over five agencies takes before the first source call.
//!
//! `explain` does all that `query` does up to the audit record: parsing, entitlement, consent, the optimizer, federation, SQL
//! and its proof. The demo's agencies have one hundred persons; the county has five agencies of one hundred tables each under
//! one thousand agreements, planned warm (descriptions of tables are cached) and cold (every description is read anew).

#![allow(clippy::expect_used, missing_debug_implementations, reason = "a benchmark stops where it fails")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use wayleave::config::Config;
use wayleave::demo::Deployment;
use wayleave::engine::Engine;
use wayleave::session::{Identity, Session};
use wayleave_connector_api::Audience;

const LOOKUP: &str = "SELECT name, dob, gp_practice FROM health.main.patients WHERE nhs_number = '9992019441'";

const UNIFIED: &str = "SELECT * FROM unified.clients WHERE nhs_number = '9992019441'";

const ACROSS: &str = "SELECT p.gp_practice, count(*) AS packages \
    FROM social.main.packages k \
    JOIN health.main.patients p ON p.nhs_number = k.nhs_number \
    LEFT JOIN housing.main.tenants t ON t.nhs_no = p.nhs_number \
    WHERE k.kind = 'home care' GROUP BY p.gp_practice ORDER BY packages DESC LIMIT 10";

fn planning(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let deployment = Deployment::write(&directory.path().join("demo"), 100, 7).expect("the demo's agencies");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = Config::load(&deployment.configuration()).expect("the demo's configuration");
    let engine = runtime.block_on(Engine::open(config)).expect("an engine");
    let identity = Identity::parse("alice@torbay-asc/social-worker").expect("an identity");
    let session = Session::new(identity, "joint-needs-assessment");
    let mut group = criterion.benchmark_group("planning");
    for (name, sql) in [("one agency", LOOKUP), ("unified view", UNIFIED), ("three agencies", ACROSS)] {
        group.bench_function(name, |bencher| {
            bencher
                .to_async(&runtime)
                .iter(|| async { black_box(engine.explain(&session, sql, Audience::Asker).await.expect("a plan")) });
        });
    }
    group.finish();
}

const AGENCIES: [&str; 5] = ["health", "social", "housing", "education", "police"];
const TABLES_PER_AGENCY: usize = 100;
const AGREEMENTS: usize = 1_000;

const COUNTY: &str = "SELECT h.c1 AS area, count(*) AS persons, sum(s.n1) AS packages, max(p.n2) AS severity \
    FROM health.main.table_007 h \
    JOIN social.main.table_011 s ON s.nhs_number = h.nhs_number \
    JOIN housing.main.table_042 t ON t.nhs_number = h.nhs_number \
    LEFT JOIN education.main.table_099 e ON e.nhs_number = s.nhs_number \
    LEFT JOIN police.main.table_000 p ON p.nhs_number = t.nhs_number \
    WHERE s.c2 = 'home care' AND h.d1 < DATE '1950-01-01' AND t.n1 > 3 \
    GROUP BY h.c1 HAVING count(*) > 2 ORDER BY persons DESC LIMIT 10";

/// Writes five SQLite agencies of [`TABLES_PER_AGENCY`] tables and [`AGREEMENTS`] agreements over them.
fn write_county(directory: &Path) {
    let mut config = "policies = \"policies\"\n\n[audit]\ndirectory = \"audit\"\n".to_owned();
    for agency in AGENCIES {
        let database = rusqlite::Connection::open(directory.join(format!("{agency}.db"))).expect("a database");
        let mut schema = "BEGIN; CREATE TABLE consents (nhs_number TEXT, purpose TEXT, recipient TEXT, status TEXT); \
            CREATE INDEX consents_key ON consents (nhs_number);"
            .to_owned();
        let _ = write!(config, "\n[agency.{agency}]\nconnector = \"sqlite\"\npath = \"{agency}.db\"\n");
        for table in 0..TABLES_PER_AGENCY {
            let _ = write!(
                schema,
                "CREATE TABLE table_{table:03} (id INTEGER PRIMARY KEY, nhs_number TEXT, c1 TEXT, c2 TEXT, c3 TEXT, c4 TEXT, \
                 n1 INTEGER, n2 INTEGER, d1 DATE, d2 DATE);"
            );
            let _ = write!(
                config,
                "\n[agency.{agency}.tables.\"main.table_{table:03}\"]\nsubject = {{ column = \"nhs_number\", scheme = \
                 \"nhs-number\", form = \"spaced\" }}\n"
            );
        }
        schema.push_str("COMMIT;");
        database.execute_batch(&schema).expect("tables");
    }
    std::fs::write(directory.join("wayleave.toml"), config).expect("a configuration");
    let policies = directory.join("policies");
    std::fs::create_dir_all(policies.join("agreements")).expect("a directory");
    std::fs::create_dir(directory.join("audit")).expect("a directory");
    std::fs::write(
        policies.join("purposes.toml"),
        "[purpose.joint-needs-assessment]\ntitle = \"Joint assessment\"\ndpv = \"dpv:ServiceProvision\"\nhl7 = \"COC\"\n",
    )
    .expect("purposes");
    std::fs::write(
        policies.join("registers.toml"),
        "[register.shared-care]\ntable = \"health.main.consents\"\nkind = \"decisions\"\nsubject = { column = \
         \"nhs_number\", scheme = \"nhs-number\", form = \"compact\" }\npurpose = { column = \"purpose\" }\nrecipient = { \
         column = \"recipient\" }\ndecision = { column = \"status\", permit = [\"granted\"], deny = [\"refused\"] }\n",
    )
    .expect("registers");
    for number in 0..AGREEMENTS {
        // The first is the asker's own, over every table; the others are other teams'.
        let team = if number == 0 { "social-worker".to_owned() } else { format!("team-{number:04}") };
        let mut agreement = format!(
            "[agreement]\nid = \"ISA-{number:04}\"\ntitle = \"Joint assessment {number}\"\nowner = \"dpo@county.example\"\n\
             starts = 2026-01-01\nends = 2099-12-31\nreview_by = 2099-12-31\n\n[basis]\npurpose = \"joint-needs-assessment\"\n\
             article_6 = \"e\"\narticle_9 = \"h\"\ngateway = \"Care Act 2014\"\ndpia = \"DPIA-{number}\"\n\n[[recipient]]\n\
             organisation = \"county\"\nroles = [\"{team}\"]\n\n[consent]\nmode = \"opt-out\"\nregisters = \
             [\"shared-care\"]\nno_information = \"permit\"\n"
        );
        let tables = if number == 0 { 0..TABLES_PER_AGENCY } else { number % 90..number % 90 + 2 };
        for (agency, table) in AGENCIES.iter().flat_map(|agency| tables.clone().map(move |table| (agency, table))) {
            let _ = write!(
                agreement,
                "\n[[share]]\ntable = \"{agency}.main.table_{table:03}\"\ncolumns = [\"nhs_number\", \"c1\", \"c2\", \"n1\", \
                 \"n2\", \"d1\"]\nmask.c1 = \"outward\"\nrows = \"n2 >= 0\"\ndisclose_keys_to = {others:?}\n",
                others = AGENCIES.iter().filter(|other| *other != agency).collect::<Vec<_>>()
            );
        }
        std::fs::write(policies.join(format!("agreements/isa-{number:04}.toml")), agreement).expect("an agreement");
    }
}

fn county(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    write_county(directory.path());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config = Config::load(&directory.path().join("wayleave.toml")).expect("the county's configuration");
    let engine = runtime.block_on(Engine::open(config)).expect("an engine");
    let session =
        Session::new(Identity::parse("alice@county/social-worker").expect("an identity"), "joint-needs-assessment");
    let plan = || async { black_box(engine.explain(&session, COUNTY, Audience::Asker).await.expect("a plan")) };
    let mut group = criterion.benchmark_group("planning five agencies, 500 tables, 1,000 agreements");
    group.bench_function("warm", |bencher| bencher.to_async(&runtime).iter(plan));
    group.bench_function("cold", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            for agency in engine.agencies_configured().iter() {
                agency.refresh().await;
            }
            plan().await
        });
    });
    group.finish();
}

criterion_group!(benches, planning, county);
criterion_main!(benches);
