//! The top of `wayleave.toml`, and what its parts share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::agency::{AGENCY_KEYS, read_agencies};
use super::limits::{LIMIT_KEYS, read_limits};
use super::serve::{SERVE_KEYS, read_serve};
use super::view::{VIEW_KEYS, read_views};
use super::{AlertConfig, AuditConfig, Config, Limits, PseudonymKey, PublicKey};
use crate::diagnostic::Diagnostics;
use crate::diagnostic::document::{Contents, Document, Entry, Key, Table};
use crate::diagnostic::schema::{FileKind, Rule, Shape};

pub(super) const CONFIGURATION_FILE: FileKind = FileKind {
    name: "wayleave",
    title: "The configuration of Wayleave",
    description: "The agencies, where their databases are, which columns hold subject keys, and the views over them.",
    keys: ROOT_KEYS,
    rules: &[],
};
pub(super) const ROOT_KEYS: &[Key] = &[
    Key::new("policies", "policies = \"policies\"")
        .says(
            "The directory of policy files, relative to this file; or a table of it and of who must have signed them.",
        )
        .of(Shape::Either(&[Shape::Text, Shape::Section(POLICIES_KEYS, &[])]))
        .required(),
    Key::new("audit", "[audit]\ndirectory = \"audit\"")
        .says("The record of who asked what.")
        .of(Shape::Section(AUDIT_KEYS, &[]))
        .required(),
    Key::new("alerts", "[alerts]\ndirectory = \"alerts\"")
        .says("How owners of agreements are told at once where the glass is broken; without it, it cannot be.")
        .of(Shape::Section(ALERT_KEYS, &[Rule::One(&["directory", "command"])])),
    Key::new("pseudonyms", "[pseudonyms]\nkey_file = \"pseudonym.key\"")
        .says("The key of pseudonyms, in a file or in a variable of the environment.")
        .of(Shape::Section(PSEUDONYM_KEYS, &[Rule::One(&["key_file", "key_env"])])),
    Key::new("limits", "[limits]\nconnect_timeout_ms = 5000")
        .says("How long, how much memory and how much disk.")
        .of(Shape::Section(LIMIT_KEYS, &[])),
    Key::new("serve", "[serve]\nusers = \"users.toml\"\n[serve.postgres]\nlisten = \"127.0.0.1:5433\"")
        .says("What `wayleave serve` does: who may connect, and where.")
        .of(Shape::Section(SERVE_KEYS, &[])),
    Key::new("agency", "[agency.health]\nconnector = \"sqlite\"\npath = \"health.db\"")
        .says("The agencies by name, which is their catalog in SQL.")
        .of(Shape::Names(&Shape::Section(AGENCY_KEYS, &[])))
        .required(),
    Key::new(
        "view",
        "[view.clients]\nkey = \"nhs_number\"\nscheme = \"nhs-number\"\nsources = [\"health.public.patients\"]",
    )
    .says("Views over several agencies by name, a row a person.")
    .of(Shape::Names(&Shape::Section(VIEW_KEYS, &[]))),
];
const POLICIES_KEYS: &[Key] = &[
    Key::new("directory", "directory = \"policies\"")
        .says("The directory of policy files, relative to this file.")
        .required(),
    Key::new("signed_by", "signed_by = [\"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\"]")
        .says("Ed25519 public keys, one of which must have signed the policy files: see `wayleave policy sign`.")
        .of(Shape::Texts { least: 1 }),
];
const AUDIT_KEYS: &[Key] = &[Key::new("directory", "directory = \"audit\"")
    .says("Where the log is written; it is made if it is not there.")
    .required()];
const ALERT_KEYS: &[Key] = &[
    Key::new("directory", "directory = \"alerts\"")
        .says("A directory into which each alert is written as a file of JSON, for whatever sends it on."),
    Key::new("command", "command = [\"/usr/local/bin/tell-owner\"]")
        .says(
            "A command that is given each alert as JSON on its standard input; what does not end well has told nobody.",
        )
        .of(Shape::Texts { least: 1 }),
];
const PSEUDONYM_KEYS: &[Key] = &[
    Key::new("key_file", "key_file = \"pseudonym.key\"").says("A file that holds the key, 32 bytes at least."),
    Key::new("key_env", "key_env = \"WAYLEAVE_KEY\"")
        .says("The variable of the environment that holds the key, 32 bytes at least."),
];

/// Milliseconds in a day: a longer time-out is a mistake.
pub(super) const LONGEST_TIMEOUT_MS: u64 = 86_400_000;

/// Where the process's environment is read, so that tests can give their own.
pub(super) type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// What reading any part of the file needs.
#[derive(Clone, Copy)]
pub(super) struct Surroundings<'s> {
    /// The directory to which relative paths are relative.
    pub directory: &'s Path,
    pub environment: Environment<'s>,
}

pub(super) fn read(text: &str, path: &Path, environment: Environment<'_>) -> Result<Config, Diagnostics> {
    let document = Document::parse(path, text, Contents::MayHoldSecrets)?;
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let config = read_root(&document.root(ROOT_KEYS), path, Surroundings { directory, environment });
    Diagnostics::or_value(document.into_found(), config)
}

fn read_root(root: &Table<'_>, path: &Path, surroundings: Surroundings<'_>) -> Option<Config> {
    let policies = root.required("policies").and_then(|entry| read_policies(&entry, surroundings));
    let audit = root.required("audit").and_then(|entry| {
        let directory = entry.table(AUDIT_KEYS)?.required("directory")?.text()?.value;
        Some(AuditConfig { directory: surroundings.directory.join(directory) })
    });
    let alerts = match root.optional("alerts") {
        Some(entry) => read_alerts(&entry, surroundings).map(Some),
        None => Some(None),
    };
    let pseudonyms = root.optional("pseudonyms").map(|entry| read_pseudonym_key(&entry, surroundings));
    let limits = root.optional("limits").map(|entry| read_limits(&entry, surroundings));
    let serve = match root.optional("serve") {
        Some(entry) => read_serve(&entry, surroundings).map(Some),
        None => Some(None),
    };
    let agencies = root.required("agency").and_then(|entry| read_agencies(&entry, surroundings));
    // Views refer to agencies: where those are wrong, what is said of views would only repeat it.
    let views = match (root.optional("view"), &agencies) {
        (Some(entry), Some(agencies)) => read_views(&entry, agencies),
        (Some(_), None) => None,
        (None, _) => Some(BTreeMap::new()),
    };
    let (policies, signed_by) = policies?;
    Some(Config {
        file: path.to_owned(),
        policies,
        signed_by,
        audit: audit?,
        alerts: alerts?,
        pseudonyms: match pseudonyms {
            Some(key) => Some(key?),
            None => None,
        },
        limits: match limits {
            Some(limits) => limits?,
            None => Limits::default(),
        },
        serve: serve?,
        agencies: agencies?,
        views: views?,
    })
}

/// A directory, or a table of it and of who must have signed what is in it.
fn read_policies(entry: &Entry<'_>, surroundings: Surroundings<'_>) -> Option<(PathBuf, Vec<PublicKey>)> {
    if !entry.is_table() {
        return Some((surroundings.existing_directory(entry)?, Vec::new()));
    }
    let table = entry.table(POLICIES_KEYS)?;
    let directory = table.required("directory").and_then(|entry| surroundings.existing_directory(&entry));
    let signed_by = match table.optional("signed_by") {
        Some(entry) => {
            let mut keys = Vec::new();
            for text in entry.some_texts()? {
                let Some(key) = PublicKey::parse(&text.value) else {
                    entry.report(
                        "a public key has 64 hexadecimal digits",
                        "`wayleave policy sign --new-key FILE` makes a key and prints the public one",
                    );
                    return None;
                };
                keys.push(key);
            }
            keys
        }
        None => Vec::new(),
    };
    Some((directory?, signed_by))
}

fn read_alerts(entry: &Entry<'_>, surroundings: Surroundings<'_>) -> Option<AlertConfig> {
    let table = entry.table(ALERT_KEYS)?;
    let entry = exactly_one(&table, &["directory", "command"])?;
    if entry.key() == "directory" {
        return Some(AlertConfig::Directory(surroundings.existing_directory(&entry)?));
    }
    let words = entry.some_texts()?;
    Some(AlertConfig::Command(words.into_iter().map(|word| word.value).collect()))
}

fn read_pseudonym_key(entry: &Entry<'_>, surroundings: Surroundings<'_>) -> Option<PseudonymKey> {
    let table = entry.table(PSEUDONYM_KEYS)?;
    let entry = exactly_one(&table, &["key_file", "key_env"])?;
    let bytes = if entry.key() == "key_file" {
        surroundings.file_contents(&entry)?
    } else {
        surroundings.variable(&entry)?.into_bytes()
    };
    let key = PseudonymKey::parse(&bytes);
    if key.is_none() {
        entry.report(
            format!("the pseudonym key has fewer than {} bytes", PseudonymKey::MINIMUM_BYTES),
            "make one with `openssl rand -hex 32`",
        );
    }
    key
}

/// The one of these keys that is there, or a report that none or several are.
pub(super) fn exactly_one<'d>(table: &Table<'d>, keys: &[&str]) -> Option<Entry<'d>> {
    let mut present: Vec<Entry<'d>> = keys.iter().filter_map(|key| table.optional(key)).collect();
    present.sort_by_key(Entry::offset);
    let listed: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    let hint = format!("write exactly one of {}", listed.join(", "));
    match present.as_slice() {
        [only] => Some(only.clone()),
        [] => {
            table.report(format!("{} is missing in `{}`", listed.join(" or "), table.name()), hint);
            None
        }
        [first, rest @ ..] => {
            for entry in rest {
                let message = format!("`{}` and `{}` contradict each other", first.key(), entry.key());
                table
                    .document()
                    .report(crate::diagnostic::Diagnostic::at(&entry.key_place(), message).with_hint(hint.clone()));
            }
            None
        }
    }
}

impl Surroundings<'_> {
    pub(super) fn path(&self, entry: &Entry<'_>) -> Option<PathBuf> {
        Some(self.directory.join(entry.text()?.value))
    }

    pub(super) fn existing_directory(&self, entry: &Entry<'_>) -> Option<PathBuf> {
        let path = self.path(entry)?;
        if !path.is_dir() {
            entry.report(
                format!("there is no directory {}", shown_path(&path)),
                "write a directory, relative to this file",
            );
            return None;
        }
        Some(path)
    }

    pub(super) fn existing_file(&self, entry: &Entry<'_>) -> Option<PathBuf> {
        let path = self.path(entry)?;
        if !path.is_file() {
            entry.report(format!("there is no file {}", shown_path(&path)), "write a file, relative to this one");
            return None;
        }
        Some(path)
    }

    pub(super) fn file_contents(&self, entry: &Entry<'_>) -> Option<Vec<u8>> {
        let path = self.path(entry)?;
        match std::fs::read(&path) {
            Ok(contents) => Some(contents),
            Err(error) => {
                entry.report(
                    format!("the file {} cannot be read: {}", shown_path(&path), error.kind()),
                    format!("write in `{}` a file that holds nothing but the value, relative to this one", entry.key()),
                );
                None
            }
        }
    }

    /// The value of the environment variable that the entry names.
    pub(super) fn variable(&self, entry: &Entry<'_>) -> Option<String> {
        let name = entry.text()?.value;
        let is_name = name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
            && !name.starts_with(|character: char| character.is_ascii_digit());
        if !is_name {
            // Whoever confuses the variable with its value has written the secret itself here.
            entry.report(
                format!("`{}` must be the name of an environment variable", entry.name()),
                "a name has letters, digits and `_` only",
            );
            return None;
        }
        let value = (self.environment)(&name).filter(|value| !value.is_empty());
        if value.is_none() {
            // Whoever confuses the variable with its value may have written a key that looks like a name, but a long one.
            let shown = if name.len() < PseudonymKey::MINIMUM_BYTES { name.as_str() } else { "…" };
            entry.report(
                format!("the environment variable `{shown}` that `{}` names is not set", entry.name()),
                "set it before Wayleave starts, or name another",
            );
        }
        value
    }
}

/// The path, unless its last part looks as if the secret itself had been written in place of its file.
fn shown_path(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    if name.len() >= PseudonymKey::MINIMUM_BYTES && !name.contains('.') {
        return "`…`".to_owned();
    }
    crate::diagnostic::quoted(&path.display().to_string())
}
