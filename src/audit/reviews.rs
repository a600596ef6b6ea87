//! Emergencies that nobody has reviewed yet, and those that somebody has, as the log tells them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::AuditError;
use super::record::{Review, Sealed};
use super::store::LOG_FILE;

/// One broken glass under one agreement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Emergency {
    pub id: String,
    pub agreement: String,
    pub owner: String,
    pub user: String,
    pub organisation: String,
    pub role: String,
    pub purpose: String,
    pub case_reference: Option<String>,
    pub reason: Option<String>,
    /// When it was first used and until when it could be; RFC 3339.
    pub at: String,
    pub until: String,
    /// The queries that were asked by it, in order.
    pub query_ids: Vec<String>,
    /// Of the whole emergency; the latest where there are several.
    pub review: Option<Review>,
}

#[derive(Deserialize)]
struct Line {
    time: String,
    body: Body,
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Body {
    Intent(IntentRead),
    Review(Review),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct IntentRead {
    query_id: String,
    user: String,
    organisation: String,
    role: String,
    purpose: String,
    case_reference: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    passed_over: Vec<PassedOverRead>,
}

#[derive(Deserialize)]
struct PassedOverRead {
    agreement: String,
    how: String,
    owner: Option<String>,
    id: Option<String>,
    until: Option<String>,
}

/// Every emergency of a directory's log, in the order in which they began.
///
/// # Errors
/// The log cannot be read, or a line of it is no record.
pub fn emergencies(directory: &Path) -> Result<Vec<Emergency>, AuditError> {
    let path = directory.join(LOG_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(AuditError::io("read", &path, &error)),
    };
    let mut found: Vec<Emergency> = Vec::new();
    let mut known: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (line, number) in BufReader::new(file).split(b'\n').zip(1..) {
        let line = line.map_err(|error| AuditError::io("read", &path, &error))?;
        Sealed::parse(&line).map_err(|what| AuditError::broken(&path, number, what))?;
        // Records of other kinds may have any other fields.
        let Ok(Line { time, body }) = serde_json::from_slice::<Line>(&line) else { continue };
        match body {
            Body::Intent(intent) => {
                for passed in &intent.passed_over {
                    let (Some(id), Some(until)) = (&passed.id, &passed.until) else { continue };
                    if passed.how != BREAK_GLASS {
                        continue;
                    }
                    let position = *known.entry((id.clone(), passed.agreement.clone())).or_insert_with(|| {
                        found.push(Emergency {
                            id: id.clone(),
                            agreement: passed.agreement.clone(),
                            owner: passed.owner.clone().unwrap_or_default(),
                            user: intent.user.clone(),
                            organisation: intent.organisation.clone(),
                            role: intent.role.clone(),
                            purpose: intent.purpose.clone(),
                            case_reference: intent.case_reference.clone(),
                            reason: intent.reason.clone(),
                            at: time.clone(),
                            until: until.clone(),
                            query_ids: Vec::new(),
                            review: None,
                        });
                        found.len() - 1
                    });
                    if let Some(emergency) = found.get_mut(position) {
                        emergency.query_ids.push(intent.query_id.clone());
                        // What was asked after a review is not reviewed by it.
                        emergency.review = None;
                    }
                }
            }
            Body::Review(review) => {
                for emergency in found.iter_mut().filter(|emergency| emergency.id == review.id) {
                    emergency.review = Some(review.clone());
                }
            }
            Body::Other => {}
        }
    }
    Ok(found)
}

/// How an intent names it.
pub(super) const BREAK_GLASS: &str = "break-glass";
