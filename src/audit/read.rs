//! Reading records back, one after the other.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use super::AuditError;
use super::record::Sealed;
use super::store::LOG_FILE;

/// Hands over each record of a directory's log, in order; none where there is no log. That each follows the one before is
/// [`super::verify`]'s to say.
///
/// # Errors
/// The log cannot be read, or a line of it is no record.
pub(super) fn each_record(directory: &Path, mut take: impl FnMut(Sealed)) -> Result<(), AuditError> {
    let path = directory.join(LOG_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(AuditError::io("read", &path, &error)),
    };
    for (line, number) in BufReader::new(file).split(b'\n').zip(1..) {
        let line = line.map_err(|error| AuditError::io("read", &path, &error))?;
        take(Sealed::parse(&line).map_err(|what| AuditError::broken(&path, number, what))?);
    }
    Ok(())
}
