//! The policy set in force, and what becomes of edits to its files while the process runs.
//!
//! In: the policy directory, again and again. Out: at any moment one whole set that was checked like the first one. An edit
//! is read when the files lie still, checked as a whole, and put in force in one step for the queries that start after it.
//! A broken edit, a file that is half written or a folder that has vanished changes nothing: the last good set stays.
//!
//! INVARIANT: a query runs under one set from its plan to its audit record, since it holds that set and never asks again.

mod fingerprint;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, watch};

use super::Policy;
use super::files::PolicySet;
use crate::config::PublicKey;
use crate::diagnostic::{Diagnostic, Diagnostics};
use fingerprint::Fingerprint;

/// How long files must lie still before they are read: an editor may write one in several steps, and what stands there
/// between two of them may be a set that releases more than either.
const SETTLED_AFTER: Duration = Duration::from_millis(300);

/// A query waits no longer for files to lie still, and then runs under the set in force.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How often files are looked at while nobody asks anything, so that a broken edit is told of at once.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(500);

/// Where there are more files, looking at them takes one part in [`SHARE_OF_TIME`] of the time at most, and not every query
/// looks; fewer are looked at by each.
const MANY_FILES: usize = 1_000;
const SHARE_OF_TIME: u32 = 20;

/// What is in force, and whether the files still say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyState {
    /// The hash of the set in force, as audit records have it.
    pub hash: String,
    /// Edits that have been put in force since the start.
    pub edits: u64,
    /// Why the files, as they are now, are not in force; the set before them is.
    pub refused: Option<Arc<Diagnostics>>,
}

/// A policy set in force, with the directory that it came from.
#[derive(Debug)]
pub struct PoliciesInForce {
    policy: RwLock<Arc<Policy>>,
    source: Option<PolicySource>,
    following: AtomicBool,
    looked: Mutex<Looked>,
    state: watch::Sender<PolicyState>,
}

/// Where a policy set is read from, and whose signature it must have.
#[derive(Clone, Debug)]
pub struct PolicySource {
    pub directory: PathBuf,
    /// Where there is any, one of them must have signed the set.
    pub signed_by: Vec<PublicKey>,
}

impl PolicySource {
    /// # Errors
    /// Everything wrong in any of the files, each with its place, and a signature that is missing or does not fit.
    pub fn load(&self) -> Result<PolicySet, Diagnostics> {
        PolicySet::load_signed(&self.directory, &self.signed_by)
    }
}

/// What the last look at the files has found.
#[derive(Debug)]
struct Looked {
    /// The files as they were when they were last put in force or refused.
    judged: Fingerprint,
    /// The files as they have been since some moment, not judged yet.
    changed: Option<(Fingerprint, Instant)>,
    not_before: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// The files are those that were judged last.
    Judged,
    /// They have changed, and have not lain still for long enough.
    Unsettled,
}

impl PoliciesInForce {
    /// A set that came from nowhere: nothing is ever looked at again.
    pub fn fixed(policy: Policy) -> Arc<Self> {
        Self::new(policy, None, Fingerprint::default())
    }

    /// Reads a directory and puts it in force; `in_force` makes a policy of the set.
    ///
    /// # Errors
    /// Everything wrong in the files: at the start there is no other set to fall back to.
    pub fn open<E: From<Diagnostics>>(
        source: PolicySource,
        in_force: impl FnOnce(PolicySet) -> Result<Policy, E>,
    ) -> Result<Arc<Self>, E> {
        // Taken first, so that an edit during the reading shows as one.
        let fingerprint = Fingerprint::of(&source.directory);
        let policy = in_force(source.load()?)?;
        Ok(Self::new(policy, Some(source), fingerprint))
    }

    fn new(policy: Policy, source: Option<PolicySource>, judged: Fingerprint) -> Arc<Self> {
        let state = PolicyState { hash: policy.set().hash.clone(), edits: 0, refused: None };
        Arc::new(Self {
            policy: RwLock::new(Arc::new(policy)),
            source,
            following: AtomicBool::new(false),
            looked: Mutex::new(Looked { judged, changed: None, not_before: Instant::now() }),
            state: watch::Sender::new(state),
        })
    }

    /// The set in force, with no look at the files.
    pub fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is in force and what was refused, now and whenever it changes.
    pub fn state(&self) -> watch::Receiver<PolicyState> {
        self.state.subscribe()
    }

    /// From now on edits are taken: looked for before each query, and beside them. It needs a runtime with time enabled, and
    /// ends with the last holder.
    pub fn follow(self: &Arc<Self>) {
        if self.source.is_none() || self.following.swap(true, Ordering::SeqCst) {
            return;
        }
        let followed = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOKED_AT_EVERY).await;
                let Some(followed) = followed.upgrade() else { break };
                followed.settle().await;
            }
        });
    }

    /// The set that a query runs under which starts now: that of the files, where they are whole and lie still.
    pub async fn current(self: &Arc<Self>) -> Arc<Policy> {
        if self.following.load(Ordering::SeqCst) {
            // A query that waits no longer, or is cancelled, must not end the reading that others wait for.
            let followed = Arc::clone(self);
            let judged = tokio::spawn(async move { followed.settle().await });
            let _ = tokio::time::timeout(LONGEST_WAIT, judged).await;
        }
        self.policy()
    }

    /// Looks at the files until they have been judged as they are; files that never lie still are given up for now.
    async fn settle(&self) {
        let started = Instant::now();
        while self.look().await == Look::Unsettled && started.elapsed() < LONGEST_WAIT {
            tokio::time::sleep(SETTLED_AFTER / 10).await;
        }
    }

    async fn look(&self) -> Look {
        let Some(source) = &self.source else { return Look::Judged };
        let mut looked = self.looked.lock().await;
        let started = Instant::now();
        if looked.changed.is_none() && started < looked.not_before {
            return Look::Judged;
        }
        let found = Fingerprint::read(&source.directory).await;
        if found.files() > MANY_FILES {
            looked.not_before = Instant::now() + started.elapsed() * SHARE_OF_TIME;
        }
        if found == looked.judged {
            looked.changed = None;
            return Look::Judged;
        }
        match &looked.changed {
            Some((seen, since)) if *seen == found && since.elapsed() >= SETTLED_AFTER => {}
            Some((seen, _)) if *seen == found => return Look::Unsettled,
            Some(_) | None => {
                looked.changed = Some((found, Instant::now()));
                return Look::Unsettled;
            }
        }
        let read = self.read(source).await;
        // What was written during the reading is judged by another look.
        if Fingerprint::read(&source.directory).await != found {
            looked.changed = None;
            return Look::Unsettled;
        }
        looked.judged = found;
        looked.changed = None;
        self.judge(read);
        Look::Judged
    }

    async fn read(&self, source: &PolicySource) -> Result<PolicySet, Diagnostics> {
        let (source, before) = (source.clone(), self.policy());
        let directory = source.directory.clone();
        let read = tokio::task::spawn_blocking(move || {
            let set = source.load()?;
            if set.agreements.is_empty() && !before.set().agreements.is_empty() {
                no_folder(&source.directory)?;
            }
            set.check_agencies(&before.agencies().names().map(str::to_owned).collect())?;
            Ok(set)
        });
        read.await.unwrap_or_else(|_| Err(Diagnostic::of_file(&directory, "the files could not be checked").into()))
    }

    /// Puts a set in force, or says why it is not.
    fn judge(&self, read: Result<PolicySet, Diagnostics>) {
        match read {
            Ok(set) => {
                let hash = set.hash.clone();
                let before = self.policy();
                if before.set().hash != hash {
                    let next = Arc::new(before.succeeded_by(set));
                    *self.policy.write().unwrap_or_else(PoisonError::into_inner) = next;
                }
                self.state.send_if_modified(|state| {
                    let changed = state.hash != hash || state.refused.is_some();
                    state.edits += u64::from(state.hash != hash);
                    state.hash = hash;
                    state.refused = None;
                    changed
                });
            }
            Err(diagnostics) => self.state.send_modify(|state| state.refused = Some(Arc::new(diagnostics))),
        }
    }
}

/// A folder of agreements that has gone is a disk that is not there or a checkout half done, and no decision.
fn no_folder(directory: &Path) -> Result<(), Diagnostics> {
    let agreements = directory.join("agreements");
    if agreements.is_dir() {
        return Ok(());
    }
    let gone = Diagnostic::of_file(&agreements, "the folder of agreements has gone");
    Err(gone.with_hint("to withdraw every agreement leave the folder empty").into())
}
