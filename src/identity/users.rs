//! `users.toml`: who may log in, with a verifier each.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use aws_lc_rs::rand;

use super::Verifier;
use crate::diagnostic::document::{Contents, Document, Entry, Key, Table};
use crate::diagnostic::schema::{FileKind, Shape};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::hexadecimal::{from_hexadecimal, to_hexadecimal};
use crate::session::{Identity, Session};

/// The file, for the schema that editors read.
pub const USERS_FILE: FileKind = FileKind {
    name: "users",
    title: "Users",
    description: "Who may log in. `wayleave user` writes this file; it holds no password.",
    keys: ROOT_KEYS,
    rules: &[],
};
const ROOT_KEYS: &[Key] = &[
    Key::new("nobody", "nobody = \"9f86d081884c7d659a2feaa0c55ad015\"")
        .says("Random digits, by which whoever is not here is answered like somebody who is: 32 hexadecimal digits.")
        .required(),
    Key::new(
        "user",
        "[user.alice]\norganisation = \"torbay-asc\"\nrole = \"social-worker\"\npassword = \"SCRAM-SHA-256$…\"",
    )
    .says("The users by name.")
    .of(Shape::Names(&Shape::Section(USER_KEYS, &[]))),
];
const USER_KEYS: &[Key] = &[
    Key::new("organisation", "organisation = \"torbay-asc\"")
        .says("The organisation for which the user asks.")
        .required(),
    Key::new("role", "role = \"social-worker\"").says("The role in which the user asks.").required(),
    Key::new("purpose", "purpose = \"joint-needs-assessment\"")
        .says("The purpose of a session that declares none: a code of purposes.toml."),
    Key::new("password", "password = \"SCRAM-SHA-256$4096:…\"")
        .says("The verifier of the password, as `wayleave user` writes it and PostgreSQL does.")
        .required(),
];

const NOBODY_BYTES: usize = 16;

/// Somebody who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub identity: Identity,
    /// Of a session that declares none.
    pub purpose: Option<String>,
    pub verifier: Verifier,
}

impl User {
    /// The session of one who has just logged in.
    pub fn session(&self) -> Session {
        Session::new(self.identity.clone(), self.purpose.clone().unwrap_or_default())
    }
}

/// Everybody who may log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    nobody: Vec<u8>,
    by_name: BTreeMap<String, User>,
}

impl Users {
    /// No users; `None` where the machine gives no random bytes.
    pub fn none() -> Option<Self> {
        let mut nobody = vec![0; NOBODY_BYTES];
        rand::fill(&mut nobody).ok()?;
        Some(Self { nobody, by_name: BTreeMap::new() })
    }

    /// # Errors
    /// Everything wrong in the file, each with its place, and a file that is not there.
    pub fn load(file: &Path) -> Result<Self, Diagnostics> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            Diagnostic::of_file(file, format!("the users cannot be read: {}", error.kind()))
                .with_hint("`wayleave user add NAME` makes the file")
        })?;
        Self::parse(file, &text)
    }

    /// # Errors
    /// Everything wrong in the text, each with its place.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Diagnostics> {
        let document = Document::parse(file, text, Contents::MayHoldSecrets)?;
        let root = document.root(ROOT_KEYS);
        let nobody = root.required("nobody").and_then(|entry| {
            let digits = from_hexadecimal(&entry.text()?.value).filter(|digits| digits.len() == NOBODY_BYTES);
            if digits.is_none() {
                entry.report("`nobody` is not 32 hexadecimal digits", "write what `openssl rand -hex 16` says");
            }
            digits
        });
        let users = root.optional("user").and_then(|entry| entry.open_table());
        let users: Vec<_> = users.iter().flat_map(Table::entries).map(|entry| read_user(&entry)).collect();
        let users: Option<BTreeMap<_, _>> = users.into_iter().collect();
        let read = nobody.zip(users).map(|(nobody, by_name)| Self { nobody, by_name });
        Diagnostics::or_value(document.into_found(), read)
    }

    pub fn get(&self, name: &str) -> Option<&User> {
        self.by_name.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&String, &User)> {
        self.by_name.iter()
    }

    /// Adds a user, or puts another in the place of one of that name, who is returned.
    pub fn put(&mut self, name: &str, user: User) -> Option<User> {
        self.by_name.insert(name.to_owned(), user)
    }

    pub fn remove(&mut self, name: &str) -> Option<User> {
        self.by_name.remove(name)
    }

    /// What a login of this name is measured by, whether or not there is one.
    pub fn verifier(&self, name: &str) -> Verifier {
        self.get(name).map_or_else(|| Verifier::of_nobody(&self.nobody, name), |user| user.verifier.clone())
    }

    /// The file that holds these users.
    pub fn text(&self) -> String {
        let mut text = format!(
            "# Who may log in. Written by `wayleave user`; it holds no password, and is for its owner's eyes all the same.\n\
             nobody = \"{}\"\n",
            to_hexadecimal(&self.nobody)
        );
        for (name, user) in &self.by_name {
            let written = |text: &str| toml::Value::from(text).to_string();
            let _ = write!(
                text,
                "\n[user.{}]\norganisation = {}\nrole = {}\n",
                written(name),
                written(&user.identity.organisation),
                written(&user.identity.role)
            );
            if let Some(purpose) = &user.purpose {
                let _ = writeln!(text, "purpose = {}", written(purpose));
            }
            let _ = writeln!(text, "password = \"{}\"", user.verifier);
        }
        text
    }
}

fn read_user(entry: &Entry<'_>) -> Option<(String, User)> {
    let table = entry.table(USER_KEYS)?;
    let text = |key: &str| table.required(key).and_then(|entry| entry.text()).map(|text| text.value);
    let (organisation, role) = (text("organisation"), text("role"));
    let purpose = match table.optional("purpose") {
        Some(entry) => entry.text().map(|text| Some(text.value)),
        None => Some(None),
    };
    let verifier = table.required("password").and_then(|entry| {
        let verifier = Verifier::parse(&entry.text()?.value);
        if verifier.is_none() {
            entry.report(
                format!("`{}` is no verifier of SCRAM-SHA-256", entry.name()),
                "let `wayleave user password NAME` write it; a password itself must never stand here",
            );
        }
        verifier
    });
    let name = entry.key();
    let written = format!("{name}@{}/{}", organisation.as_deref()?, role.as_deref()?);
    let Ok(identity) = Identity::parse(&written) else {
        entry.report(
            format!("`{name}` is no name of a user, or its organisation or role are none"),
            "leave `@` and `/` out of all three",
        );
        return None;
    };
    Some((name.to_owned(), User { identity, purpose: purpose?, verifier: verifier? }))
}

/// The users of a file as it is now: an edit counts from the next look, and a broken file lets nobody in.
#[derive(Debug)]
pub struct UsersInForce {
    file: PathBuf,
    read: Mutex<Read>,
}

#[derive(Debug)]
struct Read {
    stamp: Option<(SystemTime, u64)>,
    users: Users,
}

impl UsersInForce {
    /// # Errors
    /// As [`Users::load`].
    pub fn open(file: PathBuf) -> Result<Self, Diagnostics> {
        let stamp = stamp(&file);
        let users = Users::load(&file)?;
        Ok(Self { file, read: Mutex::new(Read { stamp, users }) })
    }

    /// A user as the file has it now; no reading where it has not changed.
    pub fn get(&self, name: &str) -> Option<User> {
        self.look(|users| users.get(name).cloned())
    }

    /// As [`Users::verifier`].
    pub fn verifier(&self, name: &str) -> Verifier {
        self.look(|users| users.verifier(name))
    }

    fn look<T>(&self, at: impl FnOnce(&Users) -> T) -> T {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let found = stamp(&self.file);
        if found.is_none() || found != read.stamp {
            // Those who were there may have been taken out.
            let nobody = read.users.nobody.clone();
            read.users = Users::load(&self.file).unwrap_or(Users { nobody, by_name: BTreeMap::new() });
            read.stamp = found;
        }
        at(&read.users)
    }
}

fn stamp(file: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(role: &str) -> User {
        let identity = Identity::parse(&format!("ann@county/{role}")).unwrap();
        User { identity, purpose: Some("care".to_owned()), verifier: Verifier::of_password("p").unwrap() }
    }

    fn two() -> Users {
        let mut users = Users::none().unwrap();
        users.put("ann", user("nurse"));
        users.put("a \"quoted\" name", user("lead \\ nurse"));
        users
    }

    #[test]
    fn users_are_written_as_they_are_read() {
        let mut users = two();
        let text = users.text();
        let read = Users::parse(Path::new("users.toml"), &text).unwrap();
        assert_eq!(read.get("ann"), users.get("ann"));
        assert_eq!(read.text(), text);
        assert_eq!(read.get("ann").unwrap().session().purpose, "care");
        assert!(!text.contains("\"p\""), "{text}");
        assert!(users.remove("ann").is_some() && users.remove("ann").is_none());
    }

    #[test]
    fn everything_wrong_is_told_at_once_and_no_value_is_shown() {
        let text = "nobody = \"1\"\n[user.ann]\norganisation = \"county\"\nrole = \"a/b\"\npassword = \"hunter2\"\n[user.bob]\n";
        let said = Users::parse(Path::new("users.toml"), text).unwrap_err().to_string();
        for part in ["32 hexadecimal digits", "no verifier", "`ann` is no name", "`user.bob`"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("hunter2"), "{said}");
    }

    #[test]
    fn an_edit_counts_at_once_and_a_broken_file_lets_nobody_in() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("users.toml");
        let users = two();
        std::fs::write(&file, users.text()).unwrap();
        let in_force = UsersInForce::open(file.clone()).unwrap();
        assert_eq!(in_force.get("ann"), users.get("ann").cloned());
        std::fs::write(&file, "nonsense").unwrap();
        assert_eq!(in_force.get("ann"), None);
        assert_eq!(in_force.verifier("ann"), Verifier::of_nobody(&users.nobody, "ann"));
        std::fs::write(&file, users.text()).unwrap();
        assert!(in_force.get("ann").is_some());
        std::fs::remove_file(&file).unwrap();
        assert_eq!(in_force.get("ann"), None);
        assert!(UsersInForce::open(file).is_err());
    }
}
