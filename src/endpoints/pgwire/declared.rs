//! What a client declares of its session, beside who it is.

use std::collections::BTreeMap;

use crate::identity::User;
use crate::session::{BeyondConsent, Session};

/// The settings of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Declared {
    purpose: Option<String>,
    case_reference: Option<String>,
    reason: Option<String>,
    beyond_consent: Option<(&'static str, BeyondConsent)>,
    /// Those of PostgreSQL that clients set and ask for; nothing here depends on them.
    others: BTreeMap<String, String>,
}

const OWN: [&str; 4] = ["wayleave.purpose", "wayleave.case", "wayleave.reason", "wayleave.beyond_consent"];

/// A setting that cannot be made, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unsettable {
    pub message: String,
    pub hint: String,
}

/// What every connection is told at its start, and may ask for.
pub(super) const REPORTED: [(&str, &str); 8] = [
    // Clients decide by it which catalogs to ask; 15 is what Debian 12 has.
    ("server_version", "15.0"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
];
const FIXED: [(&str, &str); 12] = [
    ("server_version_num", "150000"),
    ("bytea_output", "hex"),
    ("max_index_keys", "32"),
    ("statement_timeout", "0"),
    ("lc_collate", "C"),
    ("lc_ctype", "C"),
    ("transaction_isolation", "repeatable read"),
    ("transaction_read_only", "on"),
    ("default_transaction_read_only", "on"),
    ("is_superuser", "off"),
    ("search_path", "unified"),
    ("max_identifier_length", "63"),
];

impl Declared {
    /// # Errors
    /// Wayleave has no such setting, or it cannot have this value.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), Unsettable> {
        let said = value.map(str::trim).filter(|text| !text.is_empty());
        match name {
            "wayleave.purpose" => self.purpose = said.map(str::to_owned),
            "wayleave.case" => self.case_reference = said.map(str::to_owned),
            "wayleave.reason" => self.reason = said.map(str::to_owned),
            "wayleave.beyond_consent" => self.beyond_consent = said.map(way_past_consent).transpose()?,
            name if name.starts_with("wayleave.") => {
                return Err(Unsettable {
                    message: format!("there is no setting `{name}`"),
                    hint: format!("there are {}", OWN.join(", ")),
                });
            }
            "client_encoding" if !said.is_none_or(is_utf8) => {
                return Err(Unsettable {
                    message: "text is sent as UTF-8 only".to_owned(),
                    hint: "write SET client_encoding = 'UTF8'".to_owned(),
                });
            }
            name => {
                self.others.insert(name.to_owned(), value.unwrap_or_default().to_owned());
            }
        }
        Ok(())
    }

    /// Makes one setting, or `all` of them, what they were when the connection began: pools of connections do so between
    /// their users.
    pub fn reset(&mut self, name: &str, begun: &Self) {
        match name {
            "all" => self.clone_from(begun),
            "wayleave.purpose" => self.purpose.clone_from(&begun.purpose),
            "wayleave.case" => self.case_reference.clone_from(&begun.case_reference),
            "wayleave.reason" => self.reason.clone_from(&begun.reason),
            "wayleave.beyond_consent" => self.beyond_consent.clone_from(&begun.beyond_consent),
            name => match begun.others.get(name) {
                Some(value) => drop(self.others.insert(name.to_owned(), value.clone())),
                None => drop(self.others.remove(name)),
            },
        }
    }

    /// What a setting is, by any writing of its name; `None` where there is none.
    pub fn show(&self, name: &str, user: &User) -> Option<String> {
        let text = |set: &Option<String>| set.clone().unwrap_or_default();
        Some(match name {
            "wayleave.purpose" => self.purpose.clone().or_else(|| user.purpose.clone()).unwrap_or_default(),
            "wayleave.case" => text(&self.case_reference),
            "wayleave.reason" => text(&self.reason),
            "wayleave.beyond_consent" => self.beyond_consent.as_ref().map_or("", |(word, _)| word).to_owned(),
            name => {
                let known = REPORTED.iter().chain(&FIXED).find(|(known, _)| known.eq_ignore_ascii_case(name));
                match known {
                    Some((_, value)) => (*value).to_owned(),
                    None => self.others.get(name)?.clone(),
                }
            }
        })
    }

    /// Every setting there is, by name.
    pub fn settings(&self, user: &User) -> BTreeMap<String, String> {
        let known = REPORTED.iter().chain(&FIXED).map(|(name, _)| *name).chain(OWN);
        let names = known.chain(self.others.keys().map(String::as_str));
        names.filter_map(|name| Some((name.to_owned(), self.show(name, user)?))).collect()
    }

    /// A question's session.
    pub fn session(&self, user: &User) -> Session {
        let mut session = user.session();
        if let Some(purpose) = &self.purpose {
            session.purpose.clone_from(purpose);
        }
        session.case_reference.clone_from(&self.case_reference);
        session.reason.clone_from(&self.reason);
        session.beyond_consent = self.beyond_consent.as_ref().map(|(_, way)| way.clone());
        session
    }
}

fn way_past_consent(word: &str) -> Result<(&'static str, BeyondConsent), Unsettable> {
    let way = BeyondConsent::WORDS.iter().find(|(known, _)| *known == word);
    way.map(|(known, make)| (*known, make())).ok_or_else(|| Unsettable {
        message: format!("`{word}` is no way past consent"),
        hint: "write 'override' under a statute, 'break-glass' in an emergency, or '' to ask consent".to_owned(),
    })
}

fn is_utf8(name: &str) -> bool {
    matches!(name.trim_matches('\'').to_ascii_uppercase().as_str(), "UTF8" | "UTF-8" | "UNICODE" | "SQL_ASCII")
}

/// The `options` of a connection, as libpq writes them: `-c name=value`, a blank escaped by a backslash.
pub(super) fn options(text: &str) -> Vec<(String, String)> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let Some(word) = words.last_mut() else { break };
        match character {
            '\\' => word.extend(characters.next()),
            blank if blank.is_whitespace() => words.push(String::new()),
            other => word.push(other),
        }
    }
    let mut settings = Vec::new();
    let mut is_setting = false;
    for word in words.iter().filter(|word| !word.is_empty()) {
        let setting = match word.strip_prefix("--").or_else(|| word.strip_prefix("-c").filter(|rest| !rest.is_empty()))
        {
            Some(setting) => Some(setting),
            None if is_setting => Some(word.as_str()),
            None => None,
        };
        is_setting = word == "-c";
        if let Some((name, value)) = setting.and_then(|setting| setting.split_once('=')) {
            settings.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Verifier;
    use crate::session::Identity;

    fn user() -> User {
        User {
            identity: Identity::parse("ann@county/nurse").unwrap(),
            purpose: Some("care".to_owned()),
            verifier: Verifier::of_nobody(b"", ""),
        }
    }

    #[test]
    fn a_session_is_the_user_and_what_is_declared() {
        let mut declared = Declared::default();
        assert_eq!(declared.session(&user()), user().session());
        declared.set("wayleave.purpose", Some("research")).unwrap();
        declared.set("wayleave.case", Some("C-1")).unwrap();
        declared.set("wayleave.beyond_consent", Some("override")).unwrap();
        let session = declared.session(&user());
        assert_eq!((session.purpose.as_str(), session.case_reference.as_deref()), ("research", Some("C-1")));
        assert_eq!(session.beyond_consent, Some(BeyondConsent::Override));
        assert_eq!(session.organisation, "county");
        declared.reset("wayleave.purpose", &Declared::default());
        assert_eq!(declared.show("wayleave.purpose", &user()).unwrap(), "care");
        let begun = declared.clone();
        declared.set("wayleave.case", Some("C-2")).unwrap();
        declared.set("wayleave.purpose", Some("research")).unwrap();
        declared.reset("all", &begun);
        assert_eq!(declared.session(&user()).case_reference.as_deref(), Some("C-1"));
        assert_eq!(declared.show("wayleave.purpose", &user()).unwrap(), "care");
        declared.reset("all", &Declared::default());
        assert_eq!(declared.session(&user()).beyond_consent, None);
    }

    #[test]
    fn nobody_sets_who_they_are() {
        let mut declared = Declared::default();
        for name in ["wayleave.role", "wayleave.user", "wayleave.organisation"] {
            assert!(declared.set(name, Some("root")).is_err(), "{name}");
        }
        declared.set("role", Some("root")).unwrap();
        assert_eq!(declared.session(&user()), user().session());
        assert!(declared.set("wayleave.beyond_consent", Some("please")).is_err());
        assert!(declared.set("client_encoding", Some("LATIN1")).is_err());
    }

    #[test]
    fn options_are_read_as_libpq_writes_them() {
        assert_eq!(
            options("-c wayleave.purpose=care  -cwayleave.reason=a\\ b --Wayleave.Case=C-1 -x -c"),
            [("wayleave.purpose", "care"), ("wayleave.reason", "a b"), ("wayleave.case", "C-1")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
