//! The offline check of a whole log, from its first record to its head.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use super::record::{Head, Piece, Sealed, sha256_hex};
use super::store::{LOG_FILE, LockKind, lock, read_head};
use super::{AuditError, BreakKind};

/// A log whose chain holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub records: u64,
    pub first: Option<Head>,
    pub last: Option<Head>,
}

/// Checks every record of a directory's log: its hash, its place in the chain, the files it speaks of, and that the log
/// reaches as far as `head.json` says. A directory that cannot be written can be verified all the same.
///
/// The chain proves that nothing between two records was changed. It cannot prove that the whole directory was not
/// written anew: for that, keep a head (the last record's number and hash) somewhere else.
///
/// # Errors
/// [`AuditError::Broken`] with the first place that does not hold; or the log cannot be read.
pub fn verify(directory: &Path) -> Result<Verified, AuditError> {
    if !directory.is_dir() {
        return Err(AuditError::NoDirectory { directory: directory.to_owned() });
    }
    let path = directory.join(LOG_FILE);
    // Keeps a running process from appending under our eyes; a copy of the log elsewhere has no lock file.
    let _lock = match lock(directory, LockKind::Shared) {
        Err(locked @ AuditError::Locked { .. }) => return Err(locked),
        taken => taken.ok(),
    };
    let stated = read_head(directory)?;
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(AuditError::broken(&path, 1, BreakKind::NoLog));
        }
        Err(error) => return Err(AuditError::io("read", &path, &error)),
    };
    let stated = stated.ok_or_else(|| AuditError::broken(&path, 1, BreakKind::NoHead))?;

    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut last = Head::origin();
    let mut first = None;
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line).map_err(|error| AuditError::io("read", &path, &error))?;
        if read == 0 {
            break;
        }
        let broken = |what| AuditError::broken(&path, last.sequence.saturating_add(1), what);
        let content = line.strip_suffix(b"\n").ok_or_else(|| broken(BreakKind::Torn))?;
        let record = Sealed::parse(content).map_err(broken)?;
        record.follows(&last).map_err(broken)?;
        if record.head.sequence == stated.sequence && record.head != stated {
            return Err(broken(BreakKind::Head));
        }
        check_pieces(directory, &record).map_err(broken)?;
        first.get_or_insert_with(|| record.head.clone());
        last = record.head;
    }
    if last.sequence < stated.sequence {
        let what = BreakKind::CutOff { last: last.sequence, head: stated.sequence };
        return Err(AuditError::broken(&path, last.sequence.saturating_add(1), what));
    }
    Ok(Verified { records: last.sequence, last: first.is_some().then_some(last), first })
}

/// The files in which a `recovered` record keeps unfinished lines are part of what it says.
fn check_pieces(directory: &Path, record: &Sealed) -> Result<(), BreakKind> {
    if record.body.get("kind").and_then(|kind| kind.as_str()) != Some("recovered") {
        return Ok(());
    }
    let pieces = record.body.get("pieces").cloned().unwrap_or_default();
    let pieces: Vec<Piece> = serde_json::from_value(pieces).map_err(|_| BreakKind::NotARecord)?;
    for Piece { file, sha256, .. } in pieces {
        let same = std::fs::read(directory.join(&file)).is_ok_and(|bytes| sha256_hex(&bytes) == sha256);
        if !same {
            return Err(BreakKind::Piece { file });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::audit::{AuditLog, Break, Refusal};

    async fn five_records() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let log = AuditLog::open(directory.path()).unwrap();
        for number in 0..5 {
            let refusal = Refusal { query_id: number.to_string(), ..Refusal::default() };
            log.refusal(refusal).await.unwrap();
        }
        directory
    }

    fn first_break(directory: &Path, log: &[u8]) -> Break {
        fs::write(directory.join(LOG_FILE), log).unwrap();
        match verify(directory) {
            Err(AuditError::Broken(found)) => found,
            other => panic!("the change was not found: {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_flipped_bit_anywhere_is_found_in_its_line() {
        let directory = five_records().await;
        let whole = fs::read(directory.path().join(LOG_FILE)).unwrap();
        for position in 0..whole.len() {
            let mut changed = whole.clone();
            changed[position] ^= 1 << (position % 8);
            let line = whole[..position].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
            assert_eq!(first_break(directory.path(), &changed).line, line, "byte {position}");
        }
    }

    #[tokio::test]
    async fn removed_reordered_and_inserted_lines_are_found() {
        let directory = five_records().await;
        let whole = fs::read(directory.path().join(LOG_FILE)).unwrap();
        let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
        let broken_line = |changed: &[&[u8]]| first_break(directory.path(), &changed.concat()).line;

        for removed in 0..5 {
            let mut changed = lines.clone();
            changed.remove(removed);
            assert_eq!(broken_line(&changed), removed as u64 + 1);
        }
        for first in 0..4 {
            let mut changed = lines.clone();
            changed.swap(first, first + 1);
            assert_eq!(broken_line(&changed), first as u64 + 1);
        }
        for place in 0..=5 {
            let mut changed = lines.clone();
            changed.insert(place, lines[place % 5]);
            assert!((place as u64..=place as u64 + 2).contains(&broken_line(&changed)), "inserted at {place}");
        }
        assert_eq!(broken_line(&[]), 1);
        fs::write(directory.path().join(LOG_FILE), &whole).unwrap();
        assert_eq!(verify(directory.path()).unwrap().records, 5);
    }

    #[tokio::test]
    async fn a_record_forged_with_a_right_hash_breaks_the_next_one() {
        let directory = five_records().await;
        let whole = fs::read_to_string(directory.path().join(LOG_FILE)).unwrap();
        let mut lines: Vec<String> = whole.split_inclusive('\n').map(str::to_owned).collect();
        let before = Sealed::parse(lines[1].trim_end().as_bytes()).unwrap().head;
        lines[2] = super::super::record::seal(&before, r#"{"kind":"refusal"}"#).0;
        let found = first_break(directory.path(), lines.concat().as_bytes());
        assert_eq!((found.line, found.what), (4, BreakKind::Previous));
        // A forged last record has no next one, but the head knows it.
        let mut lines: Vec<String> = whole.split_inclusive('\n').map(str::to_owned).collect();
        let before = Sealed::parse(lines[3].trim_end().as_bytes()).unwrap().head;
        lines[4] = super::super::record::seal(&before, r#"{"kind":"refusal"}"#).0;
        let found = first_break(directory.path(), lines.concat().as_bytes());
        assert_eq!((found.line, found.what), (5, BreakKind::Head));
    }

    #[tokio::test]
    async fn a_lost_log_or_head_is_found() {
        let directory = five_records().await;
        fs::remove_file(directory.path().join("head.json")).unwrap();
        let found = verify(directory.path()).unwrap_err();
        assert!(matches!(found, AuditError::Broken(Break { what: BreakKind::NoHead, .. })));
        let directory = five_records().await;
        fs::remove_file(directory.path().join(LOG_FILE)).unwrap();
        let found = verify(directory.path()).unwrap_err();
        assert!(matches!(found, AuditError::Broken(Break { what: BreakKind::NoLog, .. })));
    }

    #[test]
    fn an_empty_log_holds() {
        let directory = tempfile::tempdir().unwrap();
        drop(AuditLog::open(directory.path()).unwrap());
        assert_eq!(verify(directory.path()), Ok(Verified { records: 0, first: None, last: None }));
    }
}
