//! Who asks, for local use: flags or environment. A server's sessions come from a login instead.

use clap::Args;

use super::Failure;
use crate::session::{BeyondConsent, BrokenGlass, Identity, Session};

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Who asks, and why")]
pub struct IdentityArgs {
    /// Who asks, such as alice@torbay-asc/social-worker
    #[arg(long = "as", env = "WAYLEAVE_AS", value_name = "USER@ORGANISATION/ROLE")]
    identity: Option<String>,
    /// What for: a purpose code of the policies
    #[arg(long, env = "WAYLEAVE_PURPOSE", value_name = "CODE")]
    purpose: Option<String>,
    /// The case that the question belongs to
    #[arg(long = "case", env = "WAYLEAVE_CASE", value_name = "REFERENCE")]
    case_reference: Option<String>,
    /// Why it is asked, in your words
    #[arg(long, env = "WAYLEAVE_REASON", value_name = "TEXT")]
    reason: Option<String>,
    /// Pass over consent under the statute that the agreement names; takes --case and --reason
    #[arg(long = "override", conflicts_with = "break_glass")]
    overrides: bool,
    /// Pass over consent in an emergency: the agreement's owner is told at once, and it is reviewed; takes --reason
    #[arg(long)]
    break_glass: bool,
}

impl IdentityArgs {
    /// # Errors
    /// No identity or purpose was given, or the identity has not its three parts.
    pub fn session(&self) -> Result<Session, Failure> {
        let identity = said(&self.identity).ok_or_else(|| {
            Failure::usage(
                "who asks is not said",
                "add --as user@organisation/role, such as --as alice@torbay-asc/social-worker, or set WAYLEAVE_AS",
            )
        })?;
        let identity = Identity::parse(identity)?;
        let purpose = said(&self.purpose).ok_or_else(|| {
            Failure::usage(
                "no purpose is declared",
                "add --purpose CODE, or set WAYLEAVE_PURPOSE; purposes.toml lists the codes",
            )
        })?;
        let mut session = Session::new(identity, purpose);
        session.case_reference = said(&self.case_reference).map(str::to_owned);
        session.reason = said(&self.reason).map(str::to_owned);
        if self.overrides {
            session.beyond_consent = Some(BeyondConsent::Override);
        } else if self.break_glass {
            session.beyond_consent = Some(BeyondConsent::BreakGlass(BrokenGlass::now()));
        }
        Ok(session)
    }
}

/// An empty environment variable says nothing.
fn said(given: &Option<String>) -> Option<&str> {
    given.as_deref().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(identity: Option<&str>, purpose: Option<&str>) -> IdentityArgs {
        IdentityArgs {
            identity: identity.map(str::to_owned),
            purpose: purpose.map(str::to_owned),
            case_reference: Some("C-1".to_owned()),
            reason: None,
            overrides: false,
            break_glass: false,
        }
    }

    #[test]
    fn consent_is_passed_over_only_where_it_is_said() {
        let session = |overrides, break_glass| {
            let args =
                IdentityArgs { overrides, break_glass, ..args(Some("alice@torbay-asc/social-worker"), Some("care")) };
            args.session().unwrap().beyond_consent
        };
        assert_eq!(session(false, false), None);
        assert_eq!(session(true, false), Some(BeyondConsent::Override));
        assert!(
            matches!(session(false, true), Some(BeyondConsent::BreakGlass(broken)) if broken.at <= chrono::Utc::now())
        );
    }

    #[test]
    fn a_session_has_who_what_for_and_the_case() {
        let session = args(Some("alice@torbay-asc/social-worker"), Some("care")).session().unwrap();
        assert_eq!((session.user.as_str(), session.purpose.as_str()), ("alice", "care"));
        assert_eq!((session.case_reference.as_deref(), session.reason), (Some("C-1"), None));
    }

    #[test]
    fn a_missing_identity_or_purpose_is_wrong_usage() {
        assert!(matches!(args(None, Some("care")).session(), Err(Failure::Usage { .. })));
        assert!(matches!(args(Some("a@b/c"), None).session(), Err(Failure::Usage { .. })));
        assert!(matches!(args(Some("a@b/c"), Some(" ")).session(), Err(Failure::Usage { .. })));
        assert!(args(Some("a@b"), Some("care")).session().is_err());
    }
}
