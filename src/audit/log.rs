//! The log as the engine uses it: appends from many tasks, written in groups by one thread.

use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::AuditError;
use super::record::{Body, FailedLogin, Intent, Outcome, Refusal, Review};
use super::store::Store;

/// How many waiting records one sync may carry.
const GROUP_LIMIT: usize = 256;

/// An open audit log. Several may be open on one directory, in one process or in many.
///
/// Dropping it waits until everything that was enqueued has been written.
#[derive(Debug)]
pub struct AuditLog {
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Job {
    Append {
        body: String,
        done: Option<oneshot::Sender<Result<(), AuditError>>>,
    },
    /// Answered when all that came before it has been written.
    Flush {
        done: oneshot::Sender<Result<(), AuditError>>,
    },
}

impl AuditLog {
    /// Opens the log of a directory, or begins one in an empty directory, and checks the end of its chain. A line that a
    /// crash left unfinished is moved aside and recorded.
    ///
    /// # Errors
    /// The directory is missing or cannot be written, or the chain's end does not hold.
    pub fn open(directory: &Path) -> Result<Self, AuditError> {
        let store = Store::open(directory)?;
        let (jobs, queue) = mpsc::channel();
        let writer = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || write_groups(store, &queue))
            .map_err(|error| AuditError::io("served by a thread", directory, &error))?;
        Ok(Self { jobs: Some(jobs), writer: Some(writer) })
    }

    /// Records what is about to be done; on the disk when this returns.
    ///
    /// # Errors
    /// The record could not be written: the query must not run.
    pub async fn intent(&self, intent: Intent) -> Result<(), AuditError> {
        self.append(&Body::Intent(intent)).await
    }

    /// Records what came of an intent; on the disk when this returns.
    ///
    /// # Errors
    /// The record could not be written.
    pub async fn outcome(&self, outcome: Outcome) -> Result<(), AuditError> {
        self.append(&Body::Outcome(outcome)).await
    }

    /// Enqueues an outcome and returns at once, for use in `Drop`. A failure to write it shows in [`Self::flush`].
    ///
    /// # Errors
    /// The writer has stopped.
    pub fn outcome_blocking(&self, outcome: Outcome) -> Result<(), AuditError> {
        self.enqueue(Job::Append { body: encode(&Body::Outcome(outcome))?, done: None })
    }

    /// Records a query that policy refused; on the disk when this returns.
    ///
    /// # Errors
    /// The record could not be written.
    pub async fn refusal(&self, refusal: Refusal) -> Result<(), AuditError> {
        self.append(&Body::Refusal(refusal)).await
    }

    /// Records that an emergency was looked at; on the disk when this returns.
    ///
    /// # Errors
    /// The record could not be written.
    pub async fn review(&self, review: Review) -> Result<(), AuditError> {
        self.append(&Body::Review(review)).await
    }

    /// Records a login that has failed; on the disk when this returns.
    ///
    /// # Errors
    /// The record could not be written.
    pub async fn failed_login(&self, login: FailedLogin) -> Result<(), AuditError> {
        self.append(&Body::FailedLogin(login)).await
    }

    /// Waits until everything enqueued so far has been written.
    ///
    /// # Errors
    /// The first failure that nobody has been told of yet.
    pub async fn flush(&self) -> Result<(), AuditError> {
        let (done, written) = oneshot::channel();
        self.enqueue(Job::Flush { done })?;
        written.await.map_err(|_| AuditError::Stopped)?
    }

    async fn append(&self, body: &Body) -> Result<(), AuditError> {
        let (done, written) = oneshot::channel();
        self.enqueue(Job::Append { body: encode(body)?, done: Some(done) })?;
        written.await.map_err(|_| AuditError::Stopped)?
    }

    fn enqueue(&self, job: Job) -> Result<(), AuditError> {
        let jobs = self.jobs.as_ref().ok_or(AuditError::Stopped)?;
        jobs.send(job).map_err(|_| AuditError::Stopped)
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has told its callers by dropping their channels.
            let _ = writer.join();
        }
    }
}

fn encode(body: &Body) -> Result<String, AuditError> {
    serde_json::to_string(body).map_err(|_| AuditError::Stopped)
}

fn write_groups(mut store: Store, queue: &mpsc::Receiver<Job>) {
    let mut untold = None;
    while let Ok(first) = queue.recv() {
        let (mut bodies, mut waiting, mut flushes) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                Job::Append { body, done } => {
                    bodies.push(body);
                    waiting.push(done);
                }
                Job::Flush { done } => flushes.push(done),
            }
            next = if waiting.len() < GROUP_LIMIT { queue.try_recv().ok() } else { None };
        }
        let written = if bodies.is_empty() { Ok(()) } else { store.append(&bodies) };
        for done in waiting {
            match (done, &written) {
                // The receiver is gone where the query was cancelled meanwhile; its record stands all the same.
                (Some(done), _) => drop(done.send(written.clone())),
                (None, Err(error)) => untold = untold.or_else(|| Some(error.clone())),
                (None, Ok(())) => {}
            }
        }
        for done in flushes {
            let _ = done.send(untold.take().map_or(Ok(()), Err));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::*;
    use crate::audit::record::Status;
    use crate::audit::store::LOG_FILE;
    use crate::audit::{Break, BreakKind, verify};

    fn refusal(id: impl std::fmt::Display) -> Refusal {
        Refusal { query_id: id.to_string(), sql: "SELECT 1".to_owned(), ..Refusal::default() }
    }

    fn outcome(id: &str) -> Outcome {
        Outcome {
            query_id: id.to_owned(),
            status: Status::Cancelled,
            error_code: None,
            rows_returned: 0,
            duration_ms: 1,
            rows_read: vec![],
            keys_disclosed: vec![],
            statements_run: 0,
        }
    }

    async fn log_of(directory: &Path, records: usize) {
        let log = AuditLog::open(directory).unwrap();
        for number in 0..records {
            log.refusal(refusal(number)).await.unwrap();
        }
    }

    fn lines(directory: &Path) -> Vec<String> {
        fs::read_to_string(directory.join(LOG_FILE)).unwrap().lines().map(str::to_owned).collect()
    }

    fn body(line: &str) -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["body"].clone()
    }

    fn append_raw(directory: &Path, bytes: &[u8]) {
        use std::io::Write;
        fs::OpenOptions::new().append(true).open(directory.join(LOG_FILE)).unwrap().write_all(bytes).unwrap();
    }

    #[tokio::test]
    async fn the_chain_goes_on_over_a_reopen() {
        let directory = tempfile::tempdir().unwrap();
        log_of(directory.path(), 3).await;
        log_of(directory.path(), 2).await;
        let verified = verify(directory.path()).unwrap();
        assert_eq!(verified.records, 5);
        assert_eq!(verified.first.unwrap().sequence, 1);
        assert_eq!(verified.last.unwrap().sequence, 5);
    }

    #[tokio::test]
    async fn an_intent_is_in_the_file_when_the_call_returns() {
        let directory = tempfile::tempdir().unwrap();
        let log = AuditLog::open(directory.path()).unwrap();
        let intent = Intent { query_id: "q1".to_owned(), sql: "SELECT '\"\n'".to_owned(), ..Intent::default() };
        log.intent(intent.clone()).await.unwrap();
        let written = lines(directory.path());
        assert_eq!(written.len(), 1);
        assert_eq!(body(&written[0])["kind"], "intent");
        assert_eq!(body(&written[0])["sql"], intent.sql);
    }

    #[tokio::test]
    async fn an_outcome_from_drop_is_written_before_flush_and_before_the_log_closes() {
        let directory = tempfile::tempdir().unwrap();
        let log = AuditLog::open(directory.path()).unwrap();
        log.outcome_blocking(outcome("first")).unwrap();
        log.flush().await.unwrap();
        assert_eq!(lines(directory.path()).len(), 1);
        log.outcome_blocking(outcome("second")).unwrap();
        drop(log);
        assert_eq!(body(&lines(directory.path())[1])["query_id"], "second");
    }

    #[tokio::test]
    async fn a_missing_directory_and_one_below_a_file_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("none");
        assert!(matches!(AuditLog::open(&missing), Err(AuditError::NoDirectory { .. })));
        fs::write(directory.path().join("file"), "").unwrap();
        assert!(matches!(AuditLog::open(&directory.path().join("file/below")), Err(AuditError::NoDirectory { .. })));
    }

    #[tokio::test]
    async fn a_log_that_goes_away_while_open_refuses_and_is_not_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let log = AuditLog::open(directory.path()).unwrap();
        log.refusal(refusal(1)).await.unwrap();
        fs::remove_file(directory.path().join(LOG_FILE)).unwrap();
        let error = log.refusal(refusal(2)).await.unwrap_err();
        assert_eq!(error.code(), "audit-unwritable");
        log.outcome_blocking(outcome("lost")).unwrap();
        assert!(log.flush().await.is_err(), "the failure of an outcome that nobody awaited shows in flush");
        drop(log);
        let error = AuditLog::open(directory.path()).unwrap_err();
        assert!(matches!(error, AuditError::Broken(Break { what: BreakKind::NoLog, .. })), "{error}");
    }

    #[tokio::test]
    async fn a_write_that_fails_is_an_error_and_leaves_the_chain_whole() {
        let directory = tempfile::tempdir().unwrap();
        let log = AuditLog::open(directory.path()).unwrap();
        log.refusal(refusal(1)).await.unwrap();
        let path = directory.path().join(LOG_FILE);
        let kept = directory.path().join("kept");
        fs::rename(&path, &kept).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(log.refusal(refusal(2)).await.unwrap_err().code(), "audit-unwritable");
        fs::remove_dir(&path).unwrap();
        fs::rename(&kept, &path).unwrap();
        log.refusal(refusal(3)).await.unwrap();
        assert_eq!(verify(directory.path()).unwrap().records, 2);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_full_disk_refuses() {
        let directory = tempfile::tempdir().unwrap();
        let log = AuditLog::open(directory.path()).unwrap();
        let path = directory.path().join(LOG_FILE);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let error = log.refusal(refusal(1)).await.unwrap_err();
        assert!(matches!(error, AuditError::Io { action: "written", .. }), "{error}");
    }

    #[tokio::test]
    async fn an_unfinished_line_is_moved_aside_and_recorded() {
        let directory = tempfile::tempdir().unwrap();
        log_of(directory.path(), 2).await;
        let torn = br#"{"sequence":3,"time":"2026-"#;
        append_raw(directory.path(), torn);
        let Err(AuditError::Broken(found)) = verify(directory.path()) else { panic!("the torn line was not found") };
        assert_eq!((found.line, found.what), (3, BreakKind::Torn));

        log_of(directory.path(), 1).await;
        let written = lines(directory.path());
        assert_eq!(written.len(), 4);
        let recovered = body(&written[2]);
        assert_eq!(recovered["kind"], "recovered");
        let file = PathBuf::from(recovered["pieces"][0]["file"].as_str().unwrap());
        assert_eq!(fs::read(directory.path().join(&file)).unwrap(), torn);
        assert_eq!(verify(directory.path()).unwrap().records, 4);

        fs::remove_file(directory.path().join(&file)).unwrap();
        let Err(AuditError::Broken(found)) = verify(directory.path()) else { panic!("the lost piece was not found") };
        assert_eq!(found.line, 3);
    }

    #[tokio::test]
    async fn a_line_torn_by_another_process_is_recovered_by_the_next_append() {
        let directory = tempfile::tempdir().unwrap();
        let log = AuditLog::open(directory.path()).unwrap();
        log.refusal(refusal(1)).await.unwrap();
        append_raw(directory.path(), b"{\"seq");
        log.refusal(refusal(2)).await.unwrap();
        let kinds: Vec<_> = lines(directory.path()).iter().map(|line| body(line)["kind"].clone()).collect();
        assert_eq!(kinds, ["refusal", "recovered", "refusal"]);
        verify(directory.path()).unwrap();
    }

    #[tokio::test]
    async fn a_recovery_that_crashed_before_its_record_is_finished_later() {
        let directory = tempfile::tempdir().unwrap();
        log_of(directory.path(), 1).await;
        fs::write(directory.path().join("audit.jsonl.2.torn"), "{\"sequ").unwrap();
        log_of(directory.path(), 1).await;
        let written = lines(directory.path());
        assert_eq!(body(&written[1])["kind"], "recovered");
        assert_eq!(body(&written[1])["pieces"][0]["file"], "audit.jsonl.2.torn");
    }

    #[tokio::test]
    async fn an_unfinished_line_of_somebody_else_refuses() {
        let directory = tempfile::tempdir().unwrap();
        log_of(directory.path(), 1).await;
        append_raw(directory.path(), b"a note");
        let error = AuditLog::open(directory.path()).unwrap_err();
        assert!(matches!(error, AuditError::Broken(Break { line: 2, what: BreakKind::Torn, .. })), "{error}");
    }

    #[tokio::test]
    async fn a_cut_off_end_and_a_changed_end_refuse_to_open() {
        let directory = tempfile::tempdir().unwrap();
        log_of(directory.path(), 3).await;
        let path = directory.path().join(LOG_FILE);
        let whole = fs::read_to_string(&path).unwrap();
        let without_last: String = whole.split_inclusive('\n').take(2).collect();
        fs::write(&path, without_last).unwrap();
        assert_eq!(AuditLog::open(directory.path()).unwrap_err().code(), "audit-broken");
        fs::write(&path, whole.trim_end()).unwrap();
        assert_eq!(AuditLog::open(directory.path()).unwrap_err().code(), "audit-broken");
        fs::write(&path, whole.replace("SELECT 1", "SELECT 2")).unwrap();
        assert_eq!(AuditLog::open(directory.path()).unwrap_err().code(), "audit-broken");
        fs::write(&path, whole).unwrap();
        log_of(directory.path(), 1).await;
        assert_eq!(verify(directory.path()).unwrap().records, 4);
    }

    #[tokio::test]
    async fn a_long_log_reopens_from_its_tail() {
        let directory = tempfile::tempdir().unwrap();
        let log = AuditLog::open(directory.path()).unwrap();
        for number in 0..5 {
            let sql = format!("SELECT {}", "x".repeat(100_000 * number));
            log.refusal(Refusal { sql, ..refusal(number) }).await.unwrap();
        }
        drop(log);
        log_of(directory.path(), 1).await;
        assert_eq!(verify(directory.path()).unwrap().records, 6);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_hundred_tasks_append_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let log = Arc::new(AuditLog::open(directory.path()).unwrap());
        let tasks: Vec<_> = (0..200)
            .map(|number| {
                let log = Arc::clone(&log);
                tokio::spawn(async move { log.refusal(refusal(number)).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(verify(directory.path()).unwrap().records, 200);
        let mut ids: Vec<u32> = lines(directory.path())
            .iter()
            .map(|line| body(line)["query_id"].as_str().unwrap().parse().unwrap())
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..200).collect::<Vec<_>>());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_logs_share_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let logs = [AuditLog::open(directory.path()).unwrap(), AuditLog::open(directory.path()).unwrap()].map(Arc::new);
        let tasks: Vec<_> = (0..60)
            .map(|number| {
                let log = Arc::clone(&logs[number % 2]);
                tokio::spawn(async move { log.refusal(refusal(number)).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(verify(directory.path()).unwrap().records, 60);
    }
}
