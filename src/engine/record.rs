//! What is put on the record of a query, and what owners of agreements are told of it.

use chrono::{DateTime, SecondsFormat, Utc};
use wayleave_connector_api::KeyDisclosure;

use super::Engine;
use super::answer::agreements_of_agency;
use super::explain::QueryPlan;
use crate::alert::Alert;
use crate::audit::{
    AgreementRef, ConsentPassedOver, Disclosure, Intent, Outcome, PassedOverBy, Refusal, SourceStatement, Status,
};
use crate::error::Error;
use crate::policy::{PassedOver, Policy};
use crate::session::{BeyondConsent, Session};

impl Engine {
    /// Tells the owner of each agreement whose glass is broken, before anything is released under it.
    pub(super) async fn tell_owners(&self, session: &Session, query_id: &str, query: &QueryPlan) -> Result<(), Error> {
        let Some(BeyondConsent::BreakGlass(broken)) = &session.beyond_consent else { return Ok(()) };
        for (agreement, passed_over) in &query.passed_over {
            let (PassedOver::BreakGlass { id, until }, Some(owned)) = (passed_over, query.agreements.get(agreement))
            else {
                continue;
            };
            let alert = Alert {
                kind: "break-glass",
                id: id.clone(),
                agreement: agreement.clone(),
                owner: owned.owner.clone(),
                user: session.user.clone(),
                organisation: session.organisation.clone(),
                role: session.role.clone(),
                purpose: session.purpose.clone(),
                case_reference: session.case_reference.clone(),
                reason: session.reason.clone(),
                query_id: query_id.to_owned(),
                at: moment(broken.at),
                until: moment(*until),
            };
            let told = self.alerts.tell(&alert).await;
            told.map_err(|why| Error::OwnerNotTold { agreement: agreement.clone(), why })?;
        }
        Ok(())
    }
}

/// A query that policy refused.
pub(super) fn refusal(session: &Session, query_id: &str, sql: &str, policy: &Policy, error: &Error) -> Refusal {
    Refusal {
        query_id: query_id.to_owned(),
        user: session.user.clone(),
        organisation: session.organisation.clone(),
        role: session.role.clone(),
        purpose: session.purpose.clone(),
        sql: sql.to_owned(),
        error_code: error.code().to_owned(),
        policy_hash: policy.set().hash.clone(),
    }
}

pub(super) fn intent(session: &Session, query_id: &str, sql: &str, query: &QueryPlan) -> Intent {
    let mut disclosures = Vec::new();
    for fragment in &query.fragments {
        for (from, disclosure) in &fragment.keys_from {
            disclosures.push(Disclosure {
                from: from.clone(),
                to: fragment.agency.clone(),
                scheme: "subject key".to_owned(),
                pseudonymised: *disclosure == KeyDisclosure::Pseudonymised,
            });
        }
    }
    Intent {
        query_id: query_id.to_owned(),
        user: session.user.clone(),
        organisation: session.organisation.clone(),
        role: session.role.clone(),
        purpose: session.purpose.clone(),
        case_reference: session.case_reference.clone(),
        reason: session.reason.clone(),
        sql: sql.to_owned(),
        policy_hash: query.policy_hash.clone(),
        agreements: query
            .agreements
            .values()
            .map(|agreement| AgreementRef { id: agreement.id.clone(), hash: agreement.hash.clone() })
            .collect(),
        statements: query
            .fragments
            .iter()
            // A statement that reads tables of several agencies is on the record of each.
            .flat_map(|fragment| {
                // The record holds what is sent, though the asker is shown the one statement that it stands for.
                let texts = match fragment.sides_sql.as_slice() {
                    [] => std::slice::from_ref(&fragment.sql),
                    sides => sides,
                };
                texts.iter().flat_map(|sql| {
                    fragment.agencies().into_iter().map(|agency| SourceStatement {
                        sql: sql.clone(),
                        released_under: agreements_of_agency(fragment, &agency),
                        agency,
                        keys_from: fragment.keys_from.keys().cloned().collect(),
                    })
                })
            })
            .collect(),
        disclosures,
        passed_over: query.passed_over.iter().map(|(id, how)| passed_over_by(query, id, how)).collect(),
    }
}

fn passed_over_by(query: &QueryPlan, agreement: &str, how: &PassedOver) -> ConsentPassedOver {
    let how = match how {
        PassedOver::Override { gateway } => PassedOverBy::Override { gateway: gateway.clone() },
        PassedOver::BreakGlass { id, until } => PassedOverBy::BreakGlass {
            id: id.clone(),
            until: moment(*until),
            owner: query.agreements.get(agreement).map(|agreement| agreement.owner.clone()).unwrap_or_default(),
        },
    };
    ConsentPassedOver { agreement: agreement.to_owned(), how }
}

/// RFC 3339, to the second.
fn moment(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The outcome of an intent of which nothing was sent.
pub(super) fn not_started(query_id: &str, error: &Error) -> Outcome {
    Outcome {
        query_id: query_id.to_owned(),
        status: Status::Refused,
        error_code: Some(error.code().to_owned()),
        rows_returned: 0,
        duration_ms: 0,
        rows_read: Vec::new(),
        keys_disclosed: Vec::new(),
        statements_run: 0,
    }
}
