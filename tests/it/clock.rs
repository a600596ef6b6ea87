//! A clock that was set back would put in force again what has ended.

use wayleave::config::Config;
use wayleave::engine::Engine;
use wayleave::error::Error;
use wayleave::names::QualifiedTable;
use wayleave::policy::Clock;

use crate::harness::{Backend, World};

#[tokio::test]
async fn a_clock_before_the_logs_latest_record_refuses_every_query() {
    let world = World::new(Backend::Sqlite).await;
    let session = world.session("social_worker");
    let sql = "SELECT client_id FROM social.main.clients";
    world.rows(&session, sql).await.unwrap();
    world.engine.flush_audit().await.unwrap();
    let config = || Config::load(&world.directory().join("wayleave.toml")).unwrap();
    let refusal = async |config: Config| {
        let engine = Engine::with_clock(config, Clock::System).await.unwrap();
        let table = QualifiedTable::new("social", "main", "clients");
        let examined = engine.examine(&session, &table, None).await.map(|_| ());
        (engine.query(&session, sql).await.map(|_| ()), examined)
    };
    // Whatever the agreements say on the day of the test, the clock is not what refuses.
    let (asked, examined) = refusal(config()).await;
    assert!(!matches!(asked, Err(Error::ClockBehind { .. })) && examined.is_ok());
    // The log of a machine whose clock was a year ahead of this one's.
    let log = world.audit_directory().join("audit.jsonl");
    let text = std::fs::read_to_string(&log).unwrap();
    let later = (chrono::Utc::now() + chrono::TimeDelta::days(365)).format("%Y-%m-%d").to_string();
    let day = text.split("\"time\":\"").nth(1).unwrap().split('T').next().unwrap().to_owned();
    let directory = world.directory().join("later");
    std::fs::create_dir(&directory).unwrap();
    let records: Vec<&str> = text.lines().collect();
    write_log(&directory, &records, &day, &later);
    let mut config = config();
    config.audit.directory = directory;
    let (asked, examined) = refusal(config).await;
    let Err(error) = asked else { panic!("a query ran") };
    assert!(matches!(error, Error::ClockBehind { minutes } if minutes > 360 * 24 * 60), "{error}");
    assert!(matches!(examined, Err(Error::ClockBehind { .. })));
    assert_eq!((error.code(), error.sqlstate()), ("clock-untrusted", "58000"));
}

/// The same records on another day, as a chain that holds.
fn write_log(directory: &std::path::Path, records: &[&str], day: &str, later: &str) {
    use sha2::{Digest, Sha256};
    let mut previous = "0".repeat(64);
    let mut log = String::new();
    for record in records {
        let (content, _) = record.rsplit_once(",\"hash\":").unwrap();
        let at = content.find("\"previous\":\"").unwrap() + "\"previous\":\"".len();
        let mut content = content.replacen(day, later, 1);
        content.replace_range(at..at + 64, &previous);
        previous = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        log += &format!("{content},\"hash\":\"{previous}\"}}\n");
    }
    std::fs::write(directory.join("audit.jsonl"), log).unwrap();
    let head = format!("{{\"sequence\":{},\"hash\":\"{previous}\"}}", records.len());
    std::fs::write(directory.join("head.json"), format!("{head:<127}\n")).unwrap();
}
