//! Emergencies that nobody has reviewed yet, and those that somebody has, as the log tells them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::read::each_record;
use super::record::{ConsentPassedOver, Review};
use super::{AskedQuery, AuditError, PassedOverBy};

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

/// Records of other kinds may have any other fields.
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
    #[serde(flatten)]
    asked: AskedQuery,
    #[serde(default)]
    passed_over: Vec<ConsentPassedOver>,
}

/// Every emergency of a directory's log, in the order in which they began.
///
/// # Errors
/// The log cannot be read, or a line of it is no record.
pub fn emergencies(directory: &Path) -> Result<Vec<Emergency>, AuditError> {
    let mut found: Vec<Emergency> = Vec::new();
    let mut known: BTreeMap<(String, String), usize> = BTreeMap::new();
    each_record(directory, |record| match serde_json::from_value(record.body).unwrap_or(Body::Other) {
        Body::Intent(IntentRead { query_id, asked, passed_over }) => {
            for ConsentPassedOver { agreement, how } in passed_over {
                let PassedOverBy::BreakGlass { id, until, owner } = how else { continue };
                let position = *known.entry((id.clone(), agreement.clone())).or_insert_with(|| {
                    let AskedQuery { user, organisation, role, purpose, case_reference, reason, sql: _ } =
                        asked.clone();
                    found.push(Emergency {
                        id,
                        agreement,
                        owner,
                        user,
                        organisation,
                        role,
                        purpose,
                        case_reference,
                        reason,
                        at: record.time.clone(),
                        until,
                        query_ids: Vec::new(),
                        review: None,
                    });
                    found.len() - 1
                });
                if let Some(emergency) = found.get_mut(position) {
                    emergency.query_ids.push(query_id.clone());
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
    })?;
    Ok(found)
}
