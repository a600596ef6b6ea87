//! The demo's directory: configuration, policies, pseudonym key and the agencies' files.
//!
//! A directory with files that the demo did not write is left alone. Databases, configuration and policies are made anew
//! each time; the audit log and the pseudonym key stay, as they would in a real deployment.

use std::io::Write;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};
use wayleave_connector_api::Form;

use super::DemoError;
use super::database::{AgencySummary, write_agencies};
use super::population::{self, MOST_PERSONS, Person, Role};
use super::random::Random;
use super::written;

pub const CONFIGURATION_FILE: &str = "wayleave.toml";

/// The first line of the demo's configuration, by which the demo knows its own directory again.
const MARK: &str = "# Written by `wayleave demo`";

const CONFIGURATION: &str = include_str!("wayleave.toml");

/// The example policies and their cases, as they stand in the repository.
const POLICIES: [(&str, &str); 13] = [
    ("purposes.toml", include_str!("../../policies/purposes.toml")),
    ("registers.toml", include_str!("../../policies/registers.toml")),
    ("agreements/joint-needs-assessment.toml", include_str!("../../policies/agreements/joint-needs-assessment.toml")),
    ("agreements/safeguarding-hub.toml", include_str!("../../policies/agreements/safeguarding-hub.toml")),
    ("agreements/commissioning-analytics.toml", include_str!("../../policies/agreements/commissioning-analytics.toml")),
    (
        "agreements/joint-needs-assessment.case.toml",
        include_str!("../../policies/agreements/joint-needs-assessment.case.toml"),
    ),
    ("agreements/safeguarding-hub.case.toml", include_str!("../../policies/agreements/safeguarding-hub.case.toml")),
    (
        "agreements/commissioning-analytics.case.toml",
        include_str!("../../policies/agreements/commissioning-analytics.case.toml"),
    ),
    ("agreement.schema.json", include_str!("../../policies/agreement.schema.json")),
    ("case.schema.json", include_str!("../../policies/case.schema.json")),
    ("registers.schema.json", include_str!("../../policies/registers.schema.json")),
    ("wayleave.schema.json", include_str!("../../policies/wayleave.schema.json")),
    ("purposes.schema.json", include_str!("../../policies/purposes.schema.json")),
];

/// A demo that stands in its directory.
#[derive(Debug)]
pub struct Deployment {
    directory: PathBuf,
    agencies: Vec<AgencySummary>,
    persons: usize,
    older_client: Person,
    child: Person,
}

impl Deployment {
    /// Writes the whole demo into a directory that is new, empty or an earlier demo's.
    ///
    /// # Errors
    /// [`DemoError`] where the directory is somebody else's or cannot be written.
    pub fn write(directory: &Path, persons: usize, seed: u64) -> Result<Self, DemoError> {
        if persons > MOST_PERSONS {
            return Err(DemoError::TooManyPersons);
        }
        claim(directory)?;
        write_file(&directory.join(CONFIGURATION_FILE), CONFIGURATION)?;
        for (name, text) in POLICIES {
            write_file(&directory.join("policies").join(name), text)?;
        }
        write_pseudonym_key(&directory.join("pseudonym.key"))?;
        for name in ["audit", "alerts"] {
            make_private_directory(&directory.join(name))?;
        }
        let population = population::persons(persons, seed);
        let agencies = write_agencies(directory, &population, seed)?;
        let played = |role| population.iter().find(|person| person.role == role).cloned();
        let (Some(older_client), Some(child)) = (played(Role::OlderClient), played(Role::Child)) else {
            return Err(DemoError::WriterStopped);
        };
        Ok(Self { directory: directory.to_owned(), agencies, persons: population.len(), older_client, child })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn configuration(&self) -> PathBuf {
        self.directory.join(CONFIGURATION_FILE)
    }

    pub fn agencies(&self) -> &[AgencySummary] {
        &self.agencies
    }

    pub fn persons(&self) -> usize {
        self.persons
    }

    /// Margaret Ellis, whom health, social care and housing know.
    pub fn older_client(&self) -> &Person {
        &self.older_client
    }

    /// Callum Reed, whom health, social care, education and police know.
    pub fn child(&self) -> &Person {
        &self.child
    }

    /// Plays a clerk of the health agency who enters a person's withdrawal in the agency's own register.
    ///
    /// # Errors
    /// [`DemoError::Database`] where the register has no such entry or cannot be written.
    pub fn withdraw_consent(&self, person: &Person) -> Result<String, DemoError> {
        let path = self.directory.join("health.db");
        let number = written::number(&person.nhs_number, Form::Spaced, &mut Random::new(0));
        let sql = "UPDATE consents SET status = 'withdrawn'\n WHERE nhs_number = ?1 AND purpose = 'direct_care' AND \
                   recipient = 'TASC'";
        let changed = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)
            .and_then(|connection| connection.execute(sql, params![number]))
            .and_then(|rows| if rows == 0 { Err(rusqlite::Error::QueryReturnedNoRows) } else { Ok(rows) });
        changed.map_err(|source| DemoError::Database { path, source })?;
        Ok(sql.replace("?1", &format!("'{number}'")))
    }
}

/// Makes sure that the directory is there and nobody else's.
fn claim(directory: &Path) -> Result<(), DemoError> {
    let cannot = |source| DemoError::Write { path: directory.to_owned(), source };
    std::fs::create_dir_all(directory).map_err(cannot)?;
    let empty = std::fs::read_dir(directory).map_err(cannot)?.next().is_none();
    let ours = std::fs::read_to_string(directory.join(CONFIGURATION_FILE)).is_ok_and(|text| text.starts_with(MARK));
    if empty || ours { Ok(()) } else { Err(DemoError::NotTheDemos { path: directory.to_owned() }) }
}

fn write_file(path: &Path, text: &str) -> Result<(), DemoError> {
    let cannot = |source| DemoError::Write { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(cannot)?;
    }
    std::fs::write(path, text).map_err(cannot)
}

/// Writes a key of the operating system's randomness, unless there is one: other keys would give other pseudonyms.
fn write_pseudonym_key(path: &Path) -> Result<(), DemoError> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // Each version 4 identifier brings 122 random bits.
    let key: String = std::iter::repeat_with(|| uuid::Uuid::new_v4().simple().to_string()).take(3).collect();
    match options.open(path) {
        Ok(mut file) => file.write_all(key.as_bytes()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
    .map_err(|source| DemoError::Write { path: path.to_owned(), source })
}

/// Makes a directory for this user alone: audit records and alerts tell who asked what.
fn make_private_directory(path: &Path) -> Result<(), DemoError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| DemoError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wayleave_connector_api::{KeyFormat, Scheme};

    use super::*;

    /// A demo small enough for the development profile.
    fn demo(directory: &Path, seed: u64) -> Deployment {
        Deployment::write(directory, 1500, seed).unwrap()
    }

    fn texts(deployment: &Deployment, agency: &str, sql: &str) -> Vec<Option<String>> {
        let connection = Connection::open(deployment.directory().join(agency).with_extension("db")).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// Every table's rows as text, in the order in which they were written.
    fn contents(deployment: &Deployment) -> BTreeMap<String, Vec<String>> {
        let mut contents = BTreeMap::new();
        for agency in deployment.agencies() {
            let path = deployment.directory().join(agency.name).with_extension("db");
            let connection = Connection::open(path).unwrap();
            for (table, _) in &agency.tables {
                let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY rowid")).unwrap();
                let width = statement.column_count();
                let rows = statement.query_map([], |row| {
                    let values: Result<Vec<rusqlite::types::Value>, _> = (0..width).map(|i| row.get(i)).collect();
                    Ok(format!("{:?}", values?))
                });
                contents.insert(format!("{}.{table}", agency.name), rows.unwrap().map(Result::unwrap).collect());
            }
        }
        contents
    }

    #[test]
    fn a_seed_gives_the_same_files_and_another_seed_others() {
        let (first, again, other) = (tempfile::tempdir(), tempfile::tempdir(), tempfile::tempdir());
        let [first, again, other] = [first, again, other].map(Result::unwrap);
        let expected = contents(&demo(first.path(), 42));
        assert_eq!(expected.len(), 12);
        assert!(expected.values().all(|rows| !rows.is_empty()));
        assert!(expected == contents(&demo(again.path(), 42)));
        assert!(expected != contents(&demo(other.path(), 43)));
    }

    #[test]
    fn keys_are_in_their_declared_form_and_valid_but_for_the_deliberate_errors() {
        let directory = tempfile::tempdir().unwrap();
        let deployment = demo(directory.path(), 42);
        let clean = [
            ("health", Form::Spaced, "SELECT nhs_number FROM patients"),
            ("health", Form::Spaced, "SELECT nhs_number FROM encounters"),
            ("health", Form::Spaced, "SELECT nhs_number FROM consents"),
            ("social", Form::Compact, "SELECT nhs_number FROM clients"),
            ("social", Form::Compact, "SELECT nhs_number FROM packages"),
            ("education", Form::Hyphenated, "SELECT nhs_number FROM pupils"),
        ];
        for (agency, form, sql) in clean {
            let format = KeyFormat { scheme: Scheme::NhsNumber, form, assured: false };
            let numbers = texts(&deployment, agency, sql);
            assert!(numbers.iter().flatten().all(|number| format.canonical(number).is_some()), "{agency}: {sql}");
        }
        let mixed = KeyFormat { scheme: Scheme::NhsNumber, form: Form::Mixed, assured: false };
        let written = texts(&deployment, "housing", "SELECT nhs_no FROM tenants");
        let valid = written.iter().flatten().filter(|number| mixed.canonical(number).is_some()).count();
        let missing = written.iter().filter(|number| number.is_none()).count();
        let wrong = written.len() - valid - missing;
        assert!(valid > 0 && missing > 0 && wrong > 0, "{valid} valid, {missing} missing, {wrong} wrong");
        assert!(valid > wrong * 8, "{valid} valid, {wrong} wrong");
        for separator in ["-", " "] {
            assert!(written.iter().flatten().any(|number| number.contains(separator)));
        }
        assert!(texts(&deployment, "social", "SELECT nhs_number FROM clients").contains(&None));
    }

    #[test]
    fn the_older_client_is_written_in_three_forms_and_can_withdraw_once_a_demo() {
        let directory = tempfile::tempdir().unwrap();
        let deployment = demo(directory.path(), 42);
        let named = |agency, sql: &str| texts(&deployment, agency, sql);
        let of = |text: &str| vec![Some(text.to_owned())];
        assert_eq!(
            named("health", "SELECT name FROM patients WHERE nhs_number = '999 201 9441'"),
            of("Margaret Ellis")
        );
        assert_eq!(
            named("social", "SELECT full_name FROM clients WHERE nhs_number = '9992019441'"),
            of("Margaret Ellis")
        );
        assert_eq!(named("housing", "SELECT name FROM tenants WHERE nhs_no = '999-201-9441'"), of("ELLIS, Margaret"));
        let status = "SELECT status FROM consents WHERE nhs_number = '999 201 9441'";
        assert_eq!(named("health", status), of("granted"));
        deployment.withdraw_consent(deployment.older_client()).unwrap();
        assert_eq!(named("health", status), of("withdrawn"));
        let again = demo(directory.path(), 42);
        assert_eq!(texts(&again, "health", status), of("granted"));
    }

    #[test]
    fn a_directory_with_other_files_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("health.db"), "somebody's own").unwrap();
        let refused = Deployment::write(directory.path(), 10, 42).unwrap_err();
        assert!(matches!(refused, DemoError::NotTheDemos { .. }));
        assert_eq!(std::fs::read_to_string(directory.path().join("health.db")).unwrap(), "somebody's own");
    }

    #[test]
    fn the_pseudonym_key_survives_a_rerun_and_is_nobody_elses() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pseudonym.key");
        write_pseudonym_key(&path).unwrap();
        let key = std::fs::read(&path).unwrap();
        assert!(key.len() >= 32);
        write_pseudonym_key(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), key);
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions()) & 0o077,
            0
        );
    }

    #[test]
    fn too_many_persons_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let refused = Deployment::write(directory.path(), MOST_PERSONS + 1, 42).unwrap_err();
        assert!(matches!(refused, DemoError::TooManyPersons));
    }
}
