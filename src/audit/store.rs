//! The files of the log: locking, reading the tail, appending durably, and setting an unfinished line aside.
//!
//! Several processes may share a directory: each append takes the lock, reads what others have added since, appends,
//! syncs, and lets go. `head.json` is overwritten in place, at one length, after the log is synced: it may lag behind the
//! log after a crash, and can never run ahead of it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::record::{Body, Head, Piece, Recovered, Sealed, opening, seal, sha256_hex};
use super::{AuditError, BreakKind};

pub(super) const LOG_FILE: &str = "audit.jsonl";
const HEAD_FILE: &str = "head.json";
const LOCK_FILE: &str = "audit.lock";

const LOCK_DEADLINE: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(2);
/// Longer than any head, and less than a disk sector, so that an overwrite is never seen in part.
const HEAD_LENGTH: usize = 128;
const TAIL_WINDOW: u64 = 64 * 1024;

/// Where the chain stands and how long the file is then.
#[derive(Clone, Debug)]
struct Tail {
    head: Head,
    length: u64,
}

#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    log: PathBuf,
    /// What this process last saw; `None` makes the next append read it anew.
    tail: Option<Tail>,
}

impl Store {
    /// Opens the log of a directory or begins one, and checks its tail.
    pub fn open(directory: &Path) -> Result<Self, AuditError> {
        if !directory.is_dir() {
            return Err(AuditError::NoDirectory { directory: directory.to_owned() });
        }
        let mut store = Self { directory: directory.to_owned(), log: directory.join(LOG_FILE), tail: None };
        let _lock = lock(directory, LockKind::Exclusive)?;
        store.begin()?;
        // An append of nothing reads the tail and, where it must, sets an unfinished line aside.
        store.append_locked(&[])?;
        Ok(store)
    }

    /// Appends bodies as one durable group: all of them or, on an error, none that counts.
    pub fn append(&mut self, bodies: &[String]) -> Result<(), AuditError> {
        let _lock = lock(&self.directory, LockKind::Exclusive)?;
        self.append_locked(bodies)
    }

    /// Makes the files of a new log. The head comes first: a log without one has lost it.
    fn begin(&self) -> Result<(), AuditError> {
        let head = self.directory.join(HEAD_FILE);
        if !self.log.exists() {
            match read_head(&self.directory) {
                Ok(Some(Head { sequence: 0, .. })) => {}
                Ok(None) => {
                    let file = create_private(&head).map_err(|error| AuditError::io("made", &head, &error))?;
                    write_head(&file, &Head::origin())
                        .and_then(|()| file.sync_all())
                        .map_err(|error| AuditError::io("written", &head, &error))?;
                }
                Ok(Some(_)) => return Err(AuditError::broken(&self.log, 1, BreakKind::NoLog)),
                Err(error) => return Err(error),
            }
            create_private(&self.log)
                .and_then(|file| file.sync_all())
                .map_err(|error| AuditError::io("made", &self.log, &error))?;
            self.sync_directory()?;
        }
        Ok(())
    }

    fn append_locked(&mut self, bodies: &[String]) -> Result<(), AuditError> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .open(&self.log)
            .map_err(|error| AuditError::io("opened", &self.log, &error))?;
        let known = self.tail.take();
        let (tail, recovered) = self.current_tail(&file, known)?;

        let mut lines = String::new();
        let mut head = tail.head.clone();
        for body in recovered.iter().chain(bodies) {
            let (line, next) = seal(&head, body);
            lines.push_str(&line);
            head = next;
        }
        if lines.is_empty() {
            self.tail = Some(tail);
            return Ok(());
        }
        if let Err(error) = (&file).write_all(lines.as_bytes()).and_then(|()| file.sync_data()) {
            // None of the group counts: take back what may have been written of it. Where that fails as well, the next
            // append finds an unfinished line and sets it aside.
            let _ = file.set_len(tail.length);
            return Err(AuditError::io("written", &self.log, &error));
        }
        let path = self.directory.join(HEAD_FILE);
        OpenOptions::new()
            .write(true)
            .open(&path)
            .and_then(|file| write_head(&file, &head))
            .map_err(|error| AuditError::io("written", &path, &error))?;
        let added = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        self.tail = Some(Tail { head, length: tail.length.saturating_add(added) });
        Ok(())
    }

    /// Where the chain stands now, and the body of a `recovered` record where one is due.
    fn current_tail(&self, file: &File, known: Option<Tail>) -> Result<(Tail, Option<String>), AuditError> {
        let length = file.metadata().map_err(|error| AuditError::io("read", &self.log, &error))?.len();
        let (tail, torn) = match known {
            Some(tail) if tail.length == length => (tail, Vec::new()),
            Some(tail) if tail.length > length => {
                // Only a group that this process failed to write is ever taken back, and that one was not in `known`.
                let line = tail.head.sequence;
                return Err(AuditError::broken(&self.log, line, BreakKind::CutOff { last: line - 1, head: line }));
            }
            Some(tail) => self.read_on(file, tail, length)?,
            None => self.read_tail(file, length)?,
        };
        if !torn.is_empty() {
            self.set_aside(file, &tail, &torn)?;
        }
        let pieces = self.pieces(tail.head.sequence.saturating_add(1))?;
        if pieces.is_empty() {
            return Ok((tail, None));
        }
        let body = serde_json::to_string(&Body::Recovered(Recovered { pieces })).map_err(|_| AuditError::Stopped)?;
        Ok((tail, Some(body)))
    }

    /// What others have appended since this process last looked.
    fn read_on(&self, file: &File, mut tail: Tail, length: u64) -> Result<(Tail, Vec<u8>), AuditError> {
        let added = self.read_range(file, tail.length, length)?;
        let (lines, torn) = complete_lines(&added);
        for line in lines {
            let number = tail.head.sequence.saturating_add(1);
            let broken = |what| AuditError::broken(&self.log, number, what);
            let record = Sealed::parse(line).map_err(broken)?;
            record.follows(&tail.head).map_err(broken)?;
            tail.head = record.head;
        }
        tail.length = length - u64::try_from(torn.len()).unwrap_or(0);
        Ok((tail, torn.to_vec()))
    }

    /// The end of a log that this process has not seen yet: every record from the stated head on, and that one itself.
    fn read_tail(&self, file: &File, length: u64) -> Result<(Tail, Vec<u8>), AuditError> {
        let stated = read_head(&self.directory)?.ok_or_else(|| AuditError::broken(&self.log, 1, BreakKind::NoHead))?;
        let mut window = TAIL_WINDOW;
        loop {
            let start = length.saturating_sub(window);
            let bytes = self.read_range(file, start, length)?;
            let from_line = if start == 0 { Some(bytes.as_slice()) } else { after_first_newline(&bytes) };
            if let Some(from_line) = from_line {
                let (lines, torn) = complete_lines(from_line);
                if start == 0 {
                    let head = self.check_tail(&lines, Some(Head::origin()), &stated)?;
                    let torn = torn.to_vec();
                    return Ok((Tail { head, length: length - u64::try_from(torn.len()).unwrap_or(0) }, torn));
                }
                let reaches = lines
                    .first()
                    .and_then(|line| Sealed::parse(line).ok())
                    .is_some_and(|record| record.head.sequence <= stated.sequence);
                if reaches {
                    let head = self.check_tail(&lines, None, &stated)?;
                    let torn = torn.to_vec();
                    return Ok((Tail { head, length: length - u64::try_from(torn.len()).unwrap_or(0) }, torn));
                }
            }
            window = window.saturating_mul(4);
        }
    }

    /// Checks lines one after the other; `before` is the head that the first one follows, where that is known.
    fn check_tail(&self, lines: &[&[u8]], before: Option<Head>, stated: &Head) -> Result<Head, AuditError> {
        let mut last = before;
        for line in lines {
            let number = last.as_ref().map_or(0, |head| head.sequence).saturating_add(1);
            let record = Sealed::parse(line).map_err(|what| AuditError::broken(&self.log, number, what))?;
            if let Some(last) = &last {
                record.follows(last).map_err(|what| AuditError::broken(&self.log, number, what))?;
            }
            if record.head.sequence == stated.sequence && record.head.hash != stated.hash {
                return Err(AuditError::broken(&self.log, stated.sequence, BreakKind::Head));
            }
            last = Some(record.head);
        }
        let last = last.unwrap_or_else(Head::origin);
        if last.sequence < stated.sequence {
            let what = BreakKind::CutOff { last: last.sequence, head: stated.sequence };
            return Err(AuditError::broken(&self.log, last.sequence.saturating_add(1), what));
        }
        Ok(last)
    }

    fn read_range(&self, mut file: &File, start: u64, end: u64) -> Result<Vec<u8>, AuditError> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.take(end.saturating_sub(start)).read_to_end(&mut bytes))
            .map_err(|error| AuditError::io("read", &self.log, &error))?;
        Ok(bytes)
    }

    /// Keeps an unfinished line in a file of its own and takes it off the log.
    ///
    /// The file's name carries the number of the record that comes next, which will be the `recovered` record: after a
    /// crash between the two, the file alone says that the record is still due.
    fn set_aside(&self, file: &File, tail: &Tail, torn: &[u8]) -> Result<(), AuditError> {
        let next = tail.head.sequence.saturating_add(1);
        let begins = opening(next);
        let ours = torn.starts_with(begins.as_bytes())
            || begins.as_bytes().starts_with(torn)
            || torn.iter().all(|byte| *byte == 0);
        if !ours {
            return Err(AuditError::broken(&self.log, next, BreakKind::Torn));
        }
        let mut attempt = 1;
        let path = loop {
            let path = self.directory.join(piece_name(next, attempt));
            match create_private(&path) {
                Ok(mut piece) => {
                    piece
                        .write_all(torn)
                        .and_then(|()| piece.sync_all())
                        .map_err(|error| AuditError::io("written", &path, &error))?;
                    break path;
                }
                // A crash in the middle of an earlier recovery left it.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    if std::fs::read(&path).is_ok_and(|kept| kept == torn) {
                        break path;
                    }
                    attempt += 1;
                }
                Err(error) => return Err(AuditError::io("made", &path, &error)),
            }
        };
        self.sync_directory()?;
        file.set_len(tail.length)
            .and_then(|()| file.sync_all())
            .map_err(|error| AuditError::io("cut behind the line kept in", &path, &error))
    }

    /// The unfinished lines that record number `sequence` has to account for.
    fn pieces(&self, sequence: u64) -> Result<Vec<Piece>, AuditError> {
        let mut pieces = Vec::new();
        loop {
            let name = piece_name(sequence, pieces.len() + 1);
            let path = self.directory.join(&name);
            match std::fs::read(&path) {
                Ok(bytes) => pieces.push(Piece {
                    file: name,
                    bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
                    sha256: sha256_hex(&bytes),
                }),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(pieces),
                Err(error) => return Err(AuditError::io("read", &path, &error)),
            }
        }
    }

    fn sync_directory(&self) -> Result<(), AuditError> {
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|error| AuditError::io("synced", &self.directory, &error))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LockKind {
    Shared,
    Exclusive,
}

/// Takes the directory's lock, which the returned file holds until it is dropped.
pub(super) fn lock(directory: &Path, kind: LockKind) -> Result<File, AuditError> {
    let path = directory.join(LOCK_FILE);
    let opened = match kind {
        LockKind::Exclusive => private().create(true).truncate(false).open(&path),
        LockKind::Shared => File::open(&path),
    };
    let file = opened.map_err(|error| AuditError::io("opened", &path, &error))?;
    let started = Instant::now();
    loop {
        let taken = match kind {
            LockKind::Exclusive => file.try_lock(),
            LockKind::Shared => file.try_lock_shared(),
        };
        match taken {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if started.elapsed() < LOCK_DEADLINE => thread::sleep(LOCK_RETRY),
            Err(TryLockError::WouldBlock) => {
                let waited_ms = started.elapsed().as_millis();
                return Err(AuditError::Locked { directory: directory.to_owned(), waited_ms });
            }
            Err(TryLockError::Error(error)) => return Err(AuditError::io("locked", &path, &error)),
        }
    }
}

/// What `head.json` states; `None` where there is no such file.
pub(super) fn read_head(directory: &Path) -> Result<Option<Head>, AuditError> {
    let path = directory.join(HEAD_FILE);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|_| AuditError::broken(&directory.join(LOG_FILE), 1, BreakKind::NoHead)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(AuditError::io("read", &path, &error)),
    }
}

fn write_head(mut file: &File, head: &Head) -> std::io::Result<()> {
    let text = serde_json::to_string(head)?;
    file.write_all(format!("{text:<width$}\n", width = HEAD_LENGTH - 1).as_bytes())
}

fn piece_name(sequence: u64, attempt: usize) -> String {
    match attempt {
        1 => format!("{LOG_FILE}.{sequence}.torn"),
        _ => format!("{LOG_FILE}.{sequence}.{attempt}.torn"),
    }
}

/// Options for files that hold who asked about whom: for this user's eyes alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn create_private(path: &Path) -> std::io::Result<File> {
    private().create_new(true).open(path)
}

/// The lines that have their newline, and what comes after the last one.
fn complete_lines(bytes: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let torn = lines.pop().unwrap_or_default();
    (lines, torn)
}

fn after_first_newline(bytes: &[u8]) -> Option<&[u8]> {
    let newline = bytes.iter().position(|byte| *byte == b'\n')?;
    bytes.get(newline + 1..)
}
