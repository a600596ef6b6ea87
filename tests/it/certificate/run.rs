//! Runs made-up queries over made-up worlds, several threads at once, and tells how far it is.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt;

use super::case::Connector;
use super::chance::Chance;
use super::judge::{Asked, Difference, Finding, Verdict, judge};
use super::queries::Queries;
use super::release::{Reading, released};
use super::shrink::{Shrunk, shrink};
use super::stage::Stage;
use super::worlds::world_on;

const QUERIES_PER_WORLD: u64 = 100;
const THREADS: usize = 2;
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
const STACK_BYTES: usize = 16 << 20;

#[derive(Clone, Debug)]
pub struct Settings {
    pub queries: u64,
    pub seed: u64,
    /// The number of the first world.
    pub first_world: u64,
    /// What the agencies' databases are.
    pub connectors: Vec<Connector>,
    pub at_finding: AtFinding,
    /// One in so many queries is answered with the released relations alone as well: planning it takes as long.
    pub local_every: u64,
    /// Where minimal cases are written.
    pub directory: PathBuf,
    pub reading: Reading,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtFinding {
    Stop,
    /// Findings that look alike are shrunk once.
    GoOn,
}

#[derive(Debug, Default)]
pub struct Counts {
    pub asked: AtomicU64,
    pub answered: AtomicU64,
    pub empty: AtomicU64,
    pub refused: AtomicU64,
    pub void: AtomicU64,
    pub source: AtomicU64,
    pub found: AtomicUsize,
}

pub struct Report {
    pub counts: Counts,
    /// Each kind of finding: its minimal case, how often it was met, and where first.
    pub findings: BTreeMap<String, Found>,
    /// What every side refuses, by the words of the first refusal of each kind.
    pub refusals: BTreeMap<String, (u64, String)>,
    pub took: Duration,
}

pub struct Found {
    pub place: String,
    pub times: u64,
    pub case: Option<Shrunk>,
}

struct Shared {
    settings: Settings,
    next_world: AtomicU64,
    counts: Counts,
    findings: Mutex<BTreeMap<String, Found>>,
    refusals: Mutex<BTreeMap<String, (u64, String)>>,
    ended: AtomicBool,
    stopped: AtomicBool,
    /// Worlds that could not be made, which is a fault of the test.
    faults: Mutex<Vec<String>>,
}

impl Settings {
    pub fn from_environment(queries: u64, seed: u64) -> Self {
        let number = |name: &str, usual| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
        Self {
            queries: number("CERTIFY_QUERIES", queries),
            seed: number("CERTIFY_SEED", seed),
            first_world: number("CERTIFY_WORLD", 0),
            connectors: std::env::var("CERTIFY_CONNECTORS").map_or(Connector::ALL.to_vec(), |names| {
                names.split(',').map(|name| Connector::named(name).unwrap_or_else(|| panic!("no `{name}`"))).collect()
            }),
            at_finding: if std::env::var("CERTIFY_GO_ON").is_ok() { AtFinding::GoOn } else { AtFinding::Stop },
            local_every: number("CERTIFY_LOCAL_EVERY", 2),
            directory: std::env::var("CERTIFY_DIRECTORY")
                .map_or_else(|_| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/certificate"), PathBuf::from),
            reading: released,
        }
    }
}

/// Runs all of it. Threads have a runtime of their own each, since a connection to SQLite stays on its thread.
pub fn certify(settings: Settings) -> Report {
    let started = Instant::now();
    let shared = Arc::new(Shared {
        next_world: AtomicU64::new(settings.first_world),
        settings,
        counts: Counts::default(),
        findings: Mutex::default(),
        refusals: Mutex::default(),
        ended: AtomicBool::new(false),
        stopped: AtomicBool::new(false),
        faults: Mutex::default(),
    });
    let workers: Vec<_> = (0..THREADS)
        .map(|_| {
            let shared = Arc::clone(&shared);
            // Planning descends into expressions, and frames are big without optimization.
            let worker = std::thread::Builder::new().stack_size(STACK_BYTES);
            worker.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(work(&shared));
            })
        })
        .collect();
    let teller = {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || tell_progress(&shared, started))
    };
    for worker in workers {
        if worker.unwrap().join().is_err() {
            shared.faults.lock().unwrap().push("a worker panicked".to_owned());
        }
    }
    shared.ended.store(true, Ordering::Relaxed);
    teller.thread().unpark();
    teller.join().unwrap();
    let shared = Arc::into_inner(shared).unwrap();
    let faults = shared.faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Report {
        counts: shared.counts,
        findings: shared.findings.into_inner().unwrap(),
        refusals: shared.refusals.into_inner().unwrap(),
        took: started.elapsed(),
    }
}

fn tell_progress(shared: &Shared, started: Instant) {
    while !shared.ended.load(Ordering::Relaxed) {
        std::thread::park_timeout(PROGRESS_EVERY);
        eprintln!("{}", shared.counts.told(shared.settings.queries, started.elapsed()));
    }
}

impl Counts {
    pub fn told(&self, queries: u64, took: Duration) -> String {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let asked = count(&self.asked);
        let milliseconds = u64::try_from(took.as_millis()).unwrap().max(1);
        format!(
            "certify: {asked} of {queries} queries in {} s, {} a second; {} answered ({} empty), {} also by the source, \
             {} refused, {} void; {} found",
            took.as_secs(),
            asked * 1000 / milliseconds,
            count(&self.answered),
            count(&self.empty),
            count(&self.source),
            count(&self.refused),
            count(&self.void),
            self.found.load(Ordering::Relaxed)
        )
    }
}

async fn work(shared: &Shared) {
    let settings = &shared.settings;
    loop {
        let number = shared.next_world.fetch_add(1, Ordering::Relaxed);
        let first = (number - settings.first_world) * QUERIES_PER_WORLD;
        if first >= settings.queries || shared.stopped.load(Ordering::Relaxed) {
            return;
        }
        let seed = Chance::new(settings.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).next();
        let world = world_on(seed, &settings.connectors);
        if world.agreement.is_empty() {
            shared.counts.asked.fetch_add(QUERIES_PER_WORLD.min(settings.queries - first), Ordering::Relaxed);
            continue;
        }
        let stage = match Stage::build(&world, settings.reading).await {
            Ok(stage) => stage,
            Err(error) => {
                shared.faults.lock().unwrap().push(format!("world {number} of seed {}: {error}", settings.seed));
                shared.stopped.store(true, Ordering::Relaxed);
                return;
            }
        };
        let mut differing = Vec::new();
        for query in 0..QUERIES_PER_WORLD.min(settings.queries - first) {
            if shared.stopped.load(Ordering::Relaxed) {
                break;
            }
            let sql = Queries::new(&stage.oracle.released, seed.wrapping_add(query + 1)).query();
            let asked = if query % settings.local_every == 0 { Asked::Everybody } else { Asked::NotLocal };
            let Ok(verdict) = AssertUnwindSafe(judge(&stage, &sql, asked)).catch_unwind().await else {
                let place = format!("seed {}, world {number}, query {query}", settings.seed);
                shared.faults.lock().unwrap().push(format!("{place} panics: {sql}"));
                shared.stopped.store(true, Ordering::Relaxed);
                break;
            };
            let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
            add(&shared.counts.asked);
            match verdict {
                Verdict::Agree { answer, source_asked } => {
                    add(&shared.counts.answered);
                    if answer.rows.is_empty() {
                        add(&shared.counts.empty);
                    }
                    if source_asked {
                        add(&shared.counts.source);
                    }
                }
                Verdict::Refused(why) => {
                    add(&shared.counts.refused);
                    let mut refusals = shared.refusals.lock().unwrap();
                    let kind: String = why.chars().filter(|c| !c.is_ascii_digit()).take(50).collect();
                    refusals.entry(kind).or_insert_with(|| (0, format!("{sql}\n    {why}"))).0 += 1;
                }
                Verdict::Void => {
                    add(&shared.counts.void);
                }
                Verdict::Differ { mut findings, expected } => {
                    let place = format!("seed {}, world {number}, query {query}", settings.seed);
                    differing.push((place, sql, findings.swap_remove(0), expected));
                }
            }
        }
        stage.end().await;
        for (place, sql, finding, expected) in differing {
            shared.counts.found.fetch_add(1, Ordering::Relaxed);
            // Findings that look alike are one, until they have been shrunk, when they may prove to be several.
            let kind = kind_of(&finding, &sql);
            {
                let mut findings = shared.findings.lock().unwrap();
                if let Some(known) = findings.get_mut(&kind) {
                    known.times += 1;
                    continue;
                }
                findings.insert(kind.clone(), Found { place: place.clone(), times: 1, case: None });
            }
            if settings.at_finding == AtFinding::Stop {
                shared.stopped.store(true, Ordering::Relaxed);
            }
            eprintln!("certify: {place}: {:?} {:?}\n  {sql}\n  {}", finding.side, finding.difference, finding.told);
            let shrunk = shrink(&world, &sql, finding, expected, settings.reading).await;
            let case = shrunk.case();
            std::fs::create_dir_all(&settings.directory).unwrap();
            let file = settings.directory.join(format!("{}.toml", place.replace(", ", "-").replace(' ', "-")));
            std::fs::write(&file, case.write()).unwrap();
            eprintln!("certify: shrunk to {}\n{}", file.display(), case.write());
            shared.findings.lock().unwrap().get_mut(&kind).unwrap().case = Some(shrunk);
        }
    }
}

/// What two findings have in common that may have one cause.
fn kind_of(finding: &Finding, sql: &str) -> String {
    let about: String = match finding.difference {
        Difference::Fails => finding.told.chars().filter(|c| !c.is_ascii_digit()).take(60).collect(),
        Difference::Types => finding.told.clone(),
        Difference::Rows | Difference::Order | Difference::Answers => {
            let words = [
                "FULL JOIN",
                "LEFT JOIN",
                "RIGHT JOIN",
                "CROSS JOIN",
                "ROLLUP",
                "CUBE",
                "GROUPING",
                "OVER",
                "UNION",
                "INTERSECT",
                "EXCEPT",
                "DISTINCT",
                "EXISTS",
                "IN (SELECT",
                "GROUP BY",
                "HAVING",
                "LIMIT",
                "sum(",
                "avg(",
                "CASE",
                "/",
                "LIKE",
            ];
            words.into_iter().filter(|word| sql.contains(word)).collect::<Vec<_>>().join(" ")
        }
    };
    format!("{:?} {:?} {about}", finding.side, finding.difference)
}
