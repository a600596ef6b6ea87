//! Planning under policy: how long a question over five agencies takes before the first source call.
//!
//! `explain` does all that `query` does up to the audit record: parsing, entitlement, consent, the optimizer, federation, SQL
//! and its proof. The agencies are the demo's, with one hundred persons; descriptions of tables are cached after the first.

#![allow(clippy::expect_used, missing_debug_implementations, reason = "a benchmark stops where it fails")]

use std::hint::black_box;

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

criterion_group!(benches, planning);
criterion_main!(benches);
