//! Edits to the policy files while an engine runs: whole ones count from the next query on, broken ones change nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use wayleave::error::Error;
use wayleave::policy::PolicyState;
use wayleave::policy::files::{PolicySet, SigningKey, write_signatures};

use crate::harness::{Backend, World};

const DEADLINE: Duration = Duration::from_secs(30);

const CLIENTS: &str = "SELECT * FROM social.main.clients WHERE nhs_number = '9150000152'";

struct Edited {
    world: World,
    policies: PathBuf,
}

impl Edited {
    async fn new() -> Self {
        let world = World::new(Backend::Sqlite).await;
        world.engine.follow_policies();
        let policies = world.directory().join("policies");
        Self { world, policies }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.policies.join("agreements").join(name)
    }

    fn replace(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.file(name)).unwrap();
        assert!(text.contains(from), "{name}: {from}");
        fs::write(self.file(name), text.replace(from, to)).unwrap();
    }

    async fn columns(&self) -> Result<usize, Error> {
        let rows = self.world.rows(&self.world.session("social_worker"), CLIENTS).await?;
        Ok(rows.first().map_or(0, Vec::len))
    }

    fn state(&self) -> PolicyState {
        self.world.engine.policy_state().borrow().clone()
    }

    /// The state that is told of without a query.
    async fn told(&self, of: impl Fn(&PolicyState) -> bool) -> PolicyState {
        let mut state = self.world.engine.policy_state();
        let told = tokio::time::timeout(DEADLINE, state.wait_for(of)).await;
        told.expect("nothing was told in time").unwrap().clone()
    }

    /// The policy hash of the last record of a kind.
    async fn recorded_hash(&self, kind: &str) -> String {
        self.world.engine.flush_audit().await.unwrap();
        let log = fs::read_to_string(self.world.audit_directory().join("audit.jsonl")).unwrap();
        let mut bodies =
            log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["body"].clone());
        let last = bodies.rfind(|body| body["kind"] == kind).unwrap();
        last["policy_hash"].as_str().unwrap().to_owned()
    }
}

fn refused(state: &PolicyState) -> String {
    state.refused.as_ref().map_or_else(String::new, ToString::to_string)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_counts_from_the_next_query_on_and_the_record_names_its_set() {
    let edited = Edited::new().await;
    let first = edited.state().hash;
    assert_eq!(edited.columns().await.unwrap(), 6);
    assert_eq!(edited.recorded_hash("intent").await, first);
    edited.replace("joint-needs.toml", "\"full_name\", ", "");
    // No wait for anything: the query itself looks.
    assert_eq!(edited.columns().await.unwrap(), 5);
    let second = edited.state();
    assert_eq!((second.hash.as_str(), second.edits), (PolicySet::load(&edited.policies).unwrap().hash.as_str(), 1));
    assert_ne!(second.hash, first);
    assert_eq!(edited.recorded_hash("intent").await, second.hash);
    // An agreement that goes takes its rows with it, and the refusal is recorded under the new set.
    fs::remove_file(edited.file("joint-needs.toml")).unwrap();
    assert!(matches!(edited.columns().await, Err(Error::TableNotReleased { .. })));
    assert_eq!(edited.recorded_hash("refusal").await, edited.state().hash);
    assert_eq!(edited.state().edits, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_edit_changes_nothing_and_is_told_of_at_once() {
    let edited = Edited::new().await;
    let whole = fs::read_to_string(edited.file("joint-needs.toml")).unwrap();
    let before = edited.state();
    let copy = whole.replace("TEST-JNA", "TEST-JNA-2");
    let no_agency = whole.replace("social.main.clients", "sozial.main.clients");
    let breaks = [
        ("joint-needs.toml", whole.replace("[consent]", "[consent"), "this is not TOML"),
        ("joint-needs.toml", whole.replace("\"opt-out\"", "\"optout\""), "did you mean `opt-out`?"),
        ("another.toml", copy, "at the same time"),
        ("joint-needs.toml", no_agency, "no agency `sozial` is configured"),
    ];
    for (name, text, said) in breaks {
        fs::write(edited.file(name), text).unwrap();
        // Nobody asks anything.
        let state = edited.told(|state| state.refused.is_some()).await;
        assert!(refused(&state).contains(said) && refused(&state).contains(name), "{said}: {}", refused(&state));
        assert_eq!((&state.hash, state.edits), (&before.hash, 0), "{said}");
        assert_eq!(edited.columns().await.unwrap(), 6, "{said}");
        assert_eq!(edited.recorded_hash("intent").await, before.hash);
        if name == "another.toml" {
            fs::remove_file(edited.file(name)).unwrap();
        } else {
            fs::write(edited.file(name), &whole).unwrap();
        }
        edited.told(|state| state.refused.is_none()).await;
    }
    assert_eq!(edited.state(), before);
    // A new engine has no set to fall back to.
    fs::write(edited.file("joint-needs.toml"), "[agreement").unwrap();
    assert!(matches!(edited.world.reopen().await, Err(Error::Files(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_being_written_is_not_read() {
    let edited = Edited::new().await;
    let file = edited.file("analytics.toml");
    let whole = fs::read_to_string(&file).unwrap();
    // All but its last section, which says that aggregates only may leave: a valid agreement, and a wider one.
    let (narrow, output) = whole.split_at(whole.find("[output]").unwrap());
    assert!(output.contains("aggregate_only = true"));
    let asked = || async {
        let rows = edited.world.rows(&edited.world.session("analyst"), "SELECT * FROM health.main.patients").await;
        matches!(rows, Err(Error::AggregatesOnly { .. }))
    };
    assert!(asked().await);
    let (writing, steps) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let writer = std::thread::spawn({
        let (writing, steps) = (Arc::clone(&writing), Arc::clone(&steps));
        let (file, narrow) = (file.clone(), narrow.to_owned());
        move || {
            while writing.load(Ordering::SeqCst) {
                let step = steps.fetch_add(1, Ordering::SeqCst);
                fs::write(&file, format!("{narrow}# {step}\n")).unwrap();
            }
        }
    });
    let started = Instant::now();
    while steps.load(Ordering::SeqCst) < 10 {
        assert!(started.elapsed() < DEADLINE);
        tokio::task::yield_now().await;
    }
    assert!(asked().await, "half of a file was taken for an agreement");
    writing.store(false, Ordering::SeqCst);
    writer.join().unwrap();
    fs::write(&file, format!("{whole}# whole\n")).unwrap();
    assert!(asked().await);
    assert_eq!((edited.state().edits, edited.state().refused), (1, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_vanishes_leaves_the_last_good_set() {
    let edited = Edited::new().await;
    let away = edited.world.directory().join("away");
    for (gone, said) in
        [("policies/agreements", "the folder of agreements has gone"), ("policies", "no such directory")]
    {
        let gone = edited.world.directory().join(gone);
        fs::rename(&gone, &away).unwrap();
        let state = edited.told(|state| state.refused.is_some()).await;
        assert!(refused(&state).contains(said), "{}", refused(&state));
        assert_eq!(edited.columns().await.unwrap(), 6);
        fs::rename(&away, &gone).unwrap();
        edited.told(|state| state.refused.is_none()).await;
    }
    // At the start nothing is released without agreements, and nothing runs without a directory.
    fs::rename(edited.policies.join("agreements"), &away).unwrap();
    let other = edited.world.reopen().await.unwrap();
    let refused = other.query(&edited.world.session("social_worker"), CLIENTS).await;
    assert!(matches!(refused, Err(Error::TableNotReleased { .. })));
    fs::rename(&away, edited.policies.join("agreements")).unwrap();
    // An empty folder is a decision.
    for entry in fs::read_dir(edited.policies.join("agreements")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    assert!(matches!(edited.columns().await, Err(Error::TableNotReleased { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_being_told_to_follow_an_engine_keeps_its_set() {
    let world = World::new(Backend::Sqlite).await;
    let hash = world.engine.policy_state().borrow().hash.clone();
    fs::remove_file(world.directory().join("policies/agreements/joint-needs.toml")).unwrap();
    assert!(world.rows(&world.session("social_worker"), CLIENTS).await.is_ok());
    assert_eq!(world.engine.policy_state().borrow().hash, hash);
}

/// Writes a signature of the files as they are.
fn sign(policies: &Path, key: &SigningKey) {
    let hash = PolicySet::load(policies).unwrap().hash;
    let signature = key.sign(&hash).unwrap();
    fs::write(policies.join("signatures.toml"), write_signatures(&[signature])).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_signatures_are_wanted_an_edit_counts_when_it_is_signed() {
    let key = SigningKey::parse(&"7".repeat(64)).unwrap();
    let public = key.public_key().unwrap();
    let world = World::with_policies(Backend::Sqlite, |policies| {
        let configuration = policies.parent().unwrap().join("wayleave.toml");
        let text = fs::read_to_string(&configuration).unwrap();
        let signed = format!("policies = {{ directory = \"policies\", signed_by = [\"{public}\"] }}");
        fs::write(&configuration, text.replace("policies = \"policies\"", &signed)).unwrap();
        sign(policies, &key);
    })
    .await;
    world.engine.follow_policies();
    let edited = Edited { policies: world.directory().join("policies"), world };
    assert_eq!(edited.columns().await.unwrap(), 6);
    edited.replace("joint-needs.toml", "\"full_name\", ", "");
    let state = edited.told(|state| state.refused.is_some()).await;
    assert!(refused(&state).contains("they are not those that were signed"), "{}", refused(&state));
    assert_eq!(edited.columns().await.unwrap(), 6);
    assert!(matches!(edited.world.reopen().await, Err(Error::Files(_))));
    sign(&edited.policies, &SigningKey::parse(&"8".repeat(64)).unwrap());
    let other = edited.told(|state| refused(state).contains("none of the signatures")).await;
    assert_eq!(other.edits, 0);
    sign(&edited.policies, &key);
    let started = Instant::now();
    while edited.columns().await.unwrap() != 5 {
        assert!(started.elapsed() < DEADLINE);
    }
    assert!(edited.world.reopen().await.is_ok());
}
