//! What has been asked of late, as the log tells it: to be asked again under other policies.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use serde::Deserialize;

use super::AuditError;
use super::record::Sealed;
use super::store::LOG_FILE;

/// A query that was on its way to agencies, as its intent has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct AskedQuery {
    pub user: String,
    pub organisation: String,
    pub role: String,
    pub purpose: String,
    pub case_reference: Option<String>,
    pub reason: Option<String>,
    pub sql: String,
}

/// The last different queries of a directory's log that `wanted` takes, the latest first; none that passed over consent,
/// which is nobody's to repeat. What a role has asked in the same
/// words for the same purpose counts once, whoever asked.
///
/// # Errors
/// The log cannot be read, or a line of it is no record.
pub fn recent_queries(
    directory: &Path,
    most: usize,
    wanted: impl Fn(&AskedQuery) -> bool,
) -> Result<Vec<AskedQuery>, AuditError> {
    let path = directory.join(LOG_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(AuditError::io("read", &path, &error)),
    };
    let mut asked = Vec::new();
    for (line, number) in BufReader::new(file).split(b'\n').zip(1..) {
        let line = line.map_err(|error| AuditError::io("read", &path, &error))?;
        let record = Sealed::parse(&line).map_err(|what| AuditError::broken(&path, number, what))?;
        let is_intent = record.body.get("kind").and_then(|kind| kind.as_str()) == Some("intent");
        if is_intent && record.body.get("passed_over").is_none() {
            asked.extend(serde_json::from_value::<AskedQuery>(record.body).ok().filter(&wanted));
        }
    }
    let mut seen = HashSet::new();
    asked.reverse();
    asked.retain(|query| {
        let same = [&query.organisation, &query.role, &query.purpose, &query.sql].map(String::clone);
        seen.len() < most && seen.insert(same)
    });
    Ok(asked)
}
