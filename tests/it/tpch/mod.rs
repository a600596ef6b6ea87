//! TPC-H: three agencies answer all 22 queries as one PostgreSQL database that holds everything does.

mod agencies;
mod equality;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::OnceCell;
use wayleave::config::Config;
use wayleave::engine::Engine;
use wayleave::error::Error;
use wayleave::federate::PushdownLevel;
use wayleave_connector_testkit::PostgresServer;

use crate::harness::{rows_of, servers};
use agencies::{CUSTOMERS_IN_POSTGRES, Database, Layout, ORDERS_AND_PARTS_IN_POSTGRES, fill_postgres, fill_sqlite};

/// A hundredth of the benchmark's own size: 60,000 lines of 15,000 orders.
const SCALE: f64 = 0.01;

/// Queries over one agency that its PostgreSQL answers alone: nothing but their answers moves.
const ANSWERED_AT_THE_SOURCE: [&str; 2] = ["q04", "q12"];

/// A query and what one database that holds everything answers.
struct Case {
    name: String,
    sql: String,
    rows: Vec<Vec<String>>,
}

async fn cases() -> &'static [Case] {
    const WHOLE: &str = "tpch_whole";
    static CASES: OnceCell<Vec<Case>> = OnceCell::const_new();
    CASES
        .get_or_init(|| async {
            let server = &servers()[0];
            agencies::fill_whole(server, WHOLE, SCALE).await;
            let mut cases = Vec::new();
            for (name, sql) in agencies::queries() {
                let rows = server.query_rows(WHOLE, &sql).await.unwrap_or_else(|error| panic!("{name}: {error}"));
                cases.push(Case { name, sql, rows: equality::shown(rows) });
            }
            cases
        })
        .await
}

/// The agencies' databases, filled, and the configuration and policies over them.
async fn deploy(layout: &Layout, root: &Path) {
    for (agency, database) in layout {
        match database {
            Database::Postgres => {
                fill_postgres(server_of(agency), &format!("tpch_{agency}"), agency, SCALE).await;
            }
            Database::Sqlite => fill_sqlite(&root.join(format!("{agency}.db")), agency, SCALE),
        }
    }
    agencies::write_deployment(root, layout, |agency| {
        match layout.iter().find(|(name, _)| *name == agency).unwrap().1 {
            Database::Postgres => server_of(agency).url(&format!("tpch_{agency}")),
            Database::Sqlite => format!("{agency}.db"),
        }
    });
}

/// Parts are on a server of their own.
fn server_of(agency: &str) -> &'static PostgresServer {
    &servers()[usize::from(agency == "parts")]
}

/// An answer's rows, and how many rows its agencies sent.
async fn answer(engine: &Engine, sql: &str) -> Result<(Vec<Vec<String>>, u64), Error> {
    let answer = engine.query(&agencies::session(), sql).await?;
    let progress = Arc::clone(&answer.progress);
    let rows = rows_of(answer).await?;
    Ok((rows, progress.rows().into_iter().map(|(_, rows)| rows).sum()))
}

async fn all_answers_are_those_of_one_database(layout: Layout, answered_at_the_source: &[&str]) {
    let directory = tempfile::Builder::new().prefix("wayleave-tpch-").tempdir().unwrap();
    deploy(&layout, directory.path()).await;
    let cases = cases().await;
    assert_eq!(cases.len(), 22);
    let mut failures = Vec::new();
    for level in [PushdownLevel::Full, PushdownLevel::ReleasedRelations] {
        let config = Config::load(&directory.path().join("wayleave.toml")).unwrap();
        let engine = Engine::open(config).await.unwrap().with_pushdown(level);
        for Case { name, sql, rows } in cases {
            let wrong = match answer(&engine, sql).await {
                Ok((answer, moved)) => {
                    let whole = level == PushdownLevel::Full && answered_at_the_source.contains(&name.as_str());
                    let needless = (whole && moved != answer.len() as u64)
                        .then(|| format!("{moved} rows move for {} of the answer", answer.len()));
                    equality::difference(&answer, rows).or(needless)
                }
                Err(error) => Some(format!("{error} ({})", error.detail().unwrap_or_default())),
            };
            failures.extend(wrong.map(|wrong| format!("{name}, {level:?}: {wrong}")));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of 44 answers are wrong or cost too much:\n\n{}",
        failures.len(),
        failures.join("\n\n")
    );
}

#[tokio::test]
async fn orders_and_parts_in_postgres_and_customers_in_sqlite() {
    all_answers_are_those_of_one_database(ORDERS_AND_PARTS_IN_POSTGRES, &ANSWERED_AT_THE_SOURCE).await;
}

#[tokio::test]
async fn orders_and_parts_in_sqlite_and_customers_in_postgres() {
    all_answers_are_those_of_one_database(CUSTOMERS_IN_POSTGRES, &[]).await;
}
