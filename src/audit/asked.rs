//! What has been asked of late, as the log tells it: to be asked again under other policies.

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;

use super::AuditError;
use super::read::each_record;

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
/// which is nobody's to repeat. What a role has asked in the same words for the same purpose counts once, whoever asked.
///
/// # Errors
/// The log cannot be read, or a line of it is no record.
pub fn recent_queries(
    directory: &Path,
    most: usize,
    wanted: impl Fn(&AskedQuery) -> bool,
) -> Result<Vec<AskedQuery>, AuditError> {
    let mut asked = Vec::new();
    each_record(directory, |record| {
        let is_intent = record.body.get("kind").and_then(|kind| kind.as_str()) == Some("intent");
        if is_intent && record.body.get("passed_over").is_none() {
            asked.extend(serde_json::from_value::<AskedQuery>(record.body).ok().filter(&wanted));
        }
    })?;
    let mut seen = HashSet::new();
    asked.reverse();
    asked.retain(|query| {
        let same = [&query.organisation, &query.role, &query.purpose, &query.sql].map(String::clone);
        seen.len() < most && seen.insert(same)
    });
    Ok(asked)
}
