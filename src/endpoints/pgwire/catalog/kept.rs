//! One connection's catalogs: made when they are first asked, and again when what may be seen can have changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use datafusion::sql::sqlparser::ast;
use tokio::sync::watch;

use super::{Catalogs, Listing, Told, Unanswered};
use crate::engine::Engine;
use crate::error::Error;
use crate::session::Session;

/// After so long agencies are asked again which columns there are.
const STALE_AFTER: Duration = Duration::from_secs(10);

/// For whom catalogs are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Asker {
    /// Without a purpose there is no session, and nothing of any agency is listed.
    pub session: Option<Session>,
    pub user: String,
    pub settings: BTreeMap<String, String>,
}

/// The catalogs that were asked last.
#[derive(Default)]
pub(in super::super) struct KeptCatalogs(Option<Kept>);

struct Kept {
    asker: Asker,
    /// The policies by which they were made.
    policies: String,
    made: Instant,
    catalogs: Catalogs,
}

impl KeptCatalogs {
    /// Answers a question as this asker may have it answered.
    ///
    /// # Errors
    /// What the question names is not there, or it is not understood; it is cancelled.
    pub async fn answer(
        &mut self,
        engine: &Engine,
        asker: Asker,
        query: ast::Query,
        cancels: &mut watch::Receiver<u64>,
    ) -> Result<Told, Unanswered> {
        let policies = engine.policies().set().hash.clone();
        let kept = self
            .0
            .take()
            .filter(|kept| kept.asker == asker && kept.policies == policies && kept.made.elapsed() < STALE_AFTER);
        let mut kept = match kept {
            Some(kept) => kept,
            None => {
                let released = match &asker.session {
                    Some(session) => engine.released_tables(session).await.map_err(|error| Unanswered::from(&error))?,
                    None => Vec::new(),
                };
                let listing = Listing::new(asker.user.clone(), asker.settings.clone(), released);
                let catalogs = Catalogs::new(Arc::new(listing))?;
                Kept { asker, policies, made: Instant::now(), catalogs }
            }
        };
        let cancel = Arc::new(AtomicBool::new(false));
        let cancelled = Arc::clone(&cancel);
        let mut asking = tokio::task::spawn_blocking(move || {
            let told = kept.catalogs.answer(&query, cancelled);
            (kept, told)
        });
        let answered = tokio::select! {
            biased;
            answered = &mut asking => answered,
            _ = cancels.changed() => {
                cancel.store(true, Ordering::Relaxed);
                asking.await
            }
        };
        let (kept, told) = answered
            .map_err(|error| Unanswered { code: "XX000", message: format!("the catalogs have failed: {error}") })?;
        self.0 = Some(kept);
        told
    }
}

impl From<&Error> for Unanswered {
    fn from(error: &Error) -> Self {
        Self { code: "XX000", message: error.to_string() }
    }
}
