//! Who asks, in which role, for which purpose.
//!
//! In: what a surface knows of the asker (command-line flags, later logins and settings). Out: a [`Session`], which every
//! stage takes as it is. A session never says what may be seen: that is policy's work.

use chrono::{DateTime, Utc};

use crate::error::Error;

/// One asker with a declared purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub user: String,
    pub organisation: String,
    pub role: String,
    /// A code of `purposes.toml`.
    pub purpose: String,
    /// The case that the question belongs to, where there is one.
    pub case_reference: Option<String>,
    /// Why it is asked, in the asker's words.
    pub reason: Option<String>,
    /// How the session asks past persons' own decisions, where it does.
    pub beyond_consent: Option<BeyondConsent>,
}

/// How a session asks past persons' own decisions. Whether it may is policy's to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BeyondConsent {
    /// Under a statute that the agreement names.
    Override,
    /// In an emergency.
    BreakGlass(BrokenGlass),
}

impl BeyondConsent {
    /// The ways, by the words that files and settings say.
    pub const WORDS: [(&'static str, MakeBeyondConsent); 2] =
        [("override", || Self::Override), ("break-glass", || Self::BreakGlass(BrokenGlass::now()))];
}

/// Makes one of now.
pub type MakeBeyondConsent = fn() -> BeyondConsent;

/// One emergency of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenGlass {
    /// Names it in alerts, in the audit log and in its review.
    pub id: String,
    pub at: DateTime<Utc>,
}

impl BrokenGlass {
    /// Breaks it now.
    pub fn now() -> Self {
        Self { id: uuid::Uuid::now_v7().to_string(), at: Utc::now() }
    }
}

/// Who a session's asker is: user, organisation and role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub user: String,
    pub organisation: String,
    pub role: String,
}

impl Identity {
    /// Parses `user@organisation/role`.
    ///
    /// # Errors
    /// [`Error::Identity`] where a part is missing or empty.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let malformed = || Error::Identity { given: text.to_owned() };
        let (user, rest) = text.split_once('@').ok_or_else(malformed)?;
        let (organisation, role) = rest.split_once('/').ok_or_else(malformed)?;
        let parts = [user, organisation, role].map(str::trim);
        if parts.iter().any(|part| part.is_empty() || part.contains(['@', '/', '\n', '\0'])) {
            return Err(malformed());
        }
        let [user, organisation, role] = parts.map(str::to_owned);
        Ok(Self { user, organisation, role })
    }
}

impl Session {
    pub fn new(identity: Identity, purpose: impl Into<String>) -> Self {
        let Identity { user, organisation, role } = identity;
        Self {
            user,
            organisation,
            role,
            purpose: purpose.into(),
            case_reference: None,
            reason: None,
            beyond_consent: None,
        }
    }

    #[must_use]
    pub fn with_case(mut self, case_reference: impl Into<String>) -> Self {
        self.case_reference = Some(case_reference.into());
        self
    }

    #[must_use]
    pub fn beyond_consent(mut self, how: BeyondConsent) -> Self {
        self.beyond_consent = Some(how);
        self
    }

    #[must_use]
    pub fn with_reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_has_three_parts() {
        let identity = Identity::parse("alice@torbay-asc/social-worker").unwrap();
        assert_eq!(
            (identity.user.as_str(), identity.organisation.as_str(), identity.role.as_str()),
            ("alice", "torbay-asc", "social-worker")
        );
    }

    #[test]
    fn a_missing_or_doubled_part_is_refused() {
        for text in ["", "alice", "alice@torbay", "@torbay/x", "alice@/x", "alice@torbay/", "a@b/c/d", "a@b@c/d"] {
            assert!(Identity::parse(text).is_err(), "{text:?} passed");
        }
    }
}
