//! All policy files of a directory together, and the rules that hold between them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::agreement::Agreement;
use super::overlap::overlaps;
use super::purposes::{self, Purpose, read_purposes};
use super::read::{ReadAgreement, read_agreement};
use super::register::{self, ReadRegister, Register, RegisterKind, read_registers};
use super::signature::{SIGNATURES, check_signed};
use crate::config::PublicKey;
use crate::diagnostic::document::{Contents, Document};
use crate::diagnostic::{Diagnostic, Diagnostics, Located, nearest, quoted};
use crate::hexadecimal::to_hexadecimal;

const AGREEMENTS: &str = "agreements";
const REGISTERS: &str = "registers.toml";
const PURPOSES: &str = "purposes.toml";

/// Every agreement, register and purpose; each reference between them holds.
#[derive(Clone, Debug)]
pub struct PolicySet {
    /// In the order of their files' names.
    pub agreements: Vec<Agreement>,
    pub registers: BTreeMap<String, Register>,
    pub purposes: BTreeMap<String, Purpose>,
    /// SHA-256 over the names and contents of all files, as hexadecimal digits.
    pub hash: String,
    agencies: Vec<Located<String>>,
}

impl PolicySet {
    /// Reads `agreements/*.toml` (but no `*.case.toml`), `registers.toml` and `purposes.toml` of a directory.
    ///
    /// # Errors
    /// Everything wrong in any of the files, each with its place.
    pub fn load(directory: &Path) -> Result<Self, Diagnostics> {
        let (files, mut found) = read_directory(directory);
        match Self::parse(directory, &files) {
            Ok(set) => Diagnostics::or_value(found, Some(set)),
            Err(Diagnostics(more)) => {
                found.extend(more);
                Diagnostics::or_value(found, None)
            }
        }
    }

    /// [`PolicySet::load`] of files that one of these keys has signed; with no keys any are taken.
    ///
    /// # Errors
    /// As [`PolicySet::load`]; a signature that is missing or does not fit.
    pub fn load_signed(directory: &Path, signed_by: &[PublicKey]) -> Result<Self, Diagnostics> {
        let set = Self::load(directory)?;
        // The hash is of the texts that were read, whatever stands in the files by now.
        check_signed(directory, &set.hash, signed_by)?;
        Ok(set)
    }

    /// Every file that a loaded set depends on, whether or not it is there.
    pub fn files_of(directory: &Path) -> Vec<PathBuf> {
        let agreements = directory.join(AGREEMENTS);
        let mut files: Vec<PathBuf> =
            [REGISTERS, PURPOSES, SIGNATURES].iter().map(|name| directory.join(name)).collect();
        for entry in std::fs::read_dir(&agreements).into_iter().flatten().flatten() {
            if is_agreement(Path::new(&entry.file_name())) {
                files.push(entry.path());
            }
        }
        files.extend([directory.to_owned(), agreements]);
        files
    }

    /// The texts of a directory's policy files, by their names relative to it.
    ///
    /// # Errors
    /// Each file that cannot be read.
    pub fn read_files(directory: &Path) -> Result<BTreeMap<PathBuf, String>, Diagnostics> {
        let (files, found) = read_directory(directory);
        Diagnostics::or_value(found, Some(files))
    }

    /// Whether a file of this name, relative to the policy directory, is one that [`PolicySet::load`] reads.
    pub fn holds_policy(name: &Path) -> bool {
        let in_agreements = name.parent() == Some(Path::new(AGREEMENTS));
        [REGISTERS, PURPOSES].iter().any(|file| name == Path::new(file))
            || (in_agreements && name.file_name().is_some_and(|file| is_agreement(Path::new(file))))
    }

    /// Reads policy files from their texts, named by paths relative to `directory`, which need not exist.
    ///
    /// # Errors
    /// Everything wrong in any of the files, each with its place.
    pub fn parse(directory: &Path, files: &BTreeMap<PathBuf, String>) -> Result<Self, Diagnostics> {
        let mut reading = Reading::of(directory, files);
        reading.check(directory, files);
        let set = reading.complete.then(|| reading.set(hash_of(files)));
        Diagnostics::or_value(reading.found, set)
    }

    /// Checks that every agency that an agreement or a register names is configured.
    ///
    /// # Errors
    /// A diagnostic for each place that names another.
    pub fn check_agencies(&self, agencies: &BTreeSet<String>) -> Result<(), Diagnostics> {
        let unknown = self.agencies.iter().filter(|named| !agencies.contains(&named.value));
        let found = unknown.map(|named| {
            let hint = match nearest(&named.value, agencies.iter().map(String::as_str)) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("write a section `[agency.{}]` in the configuration", named.value),
            };
            let message = format!("no agency {} is configured", quoted(&named.value));
            Diagnostic::at(&named.place, message).with_hint(hint)
        });
        Diagnostics::or_value(found.collect(), Some(()))
    }
}

/// What has been read so far.
struct Reading {
    agreements: Vec<ReadAgreement>,
    registers: Vec<ReadRegister>,
    purposes: BTreeMap<String, Purpose>,
    /// Files that could not be read in full, so that a reference into them may be right.
    unread: BTreeSet<PathBuf>,
    complete: bool,
    found: Vec<Diagnostic>,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            agreements: Vec::new(),
            registers: Vec::new(),
            purposes: BTreeMap::new(),
            unread: BTreeSet::new(),
            complete: true,
            found: Vec::new(),
        }
    }
}

/// Files below which a further thread is not worth its start.
const FILES_A_THREAD: usize = 250;

impl Reading {
    /// Reads each file by itself, many of them on several threads; what is read stays in the order of the names.
    fn of(directory: &Path, files: &BTreeMap<PathBuf, String>) -> Self {
        let files: Vec<(&PathBuf, &String)> = files.iter().collect();
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let each = files.len().div_ceil(threads).max(FILES_A_THREAD);
        let mut parts = files.chunks(each);
        let first = parts.next().unwrap_or_default();
        std::thread::scope(|scope| {
            let others: Vec<_> = parts.map(|part| scope.spawn(|| Self::of_part(directory, part))).collect();
            let mut whole = Self::of_part(directory, first);
            for other in others {
                match other.join() {
                    Ok(part) => whole.append(part),
                    // What has not been read is not in force.
                    Err(panicked) => std::panic::resume_unwind(panicked),
                }
            }
            whole
        })
    }

    fn of_part(directory: &Path, files: &[(&PathBuf, &String)]) -> Self {
        let mut reading = Self::default();
        for (name, text) in files {
            let file = directory.join(name);
            match Document::parse(&file, text, Contents::Plain) {
                Ok(document) => reading.read(name, &file, text, document),
                Err(error) => {
                    reading.complete = false;
                    reading.unread.insert((*name).clone());
                    reading.found.push(error);
                }
            }
        }
        reading
    }

    fn append(&mut self, part: Self) {
        self.agreements.extend(part.agreements);
        self.registers.extend(part.registers);
        self.purposes.extend(part.purposes);
        self.unread.extend(part.unread);
        self.complete &= part.complete;
        self.found.extend(part.found);
    }

    fn read(&mut self, name: &Path, file: &Path, text: &str, document: Document<'_>) {
        // What could not be read is left out, and then the whole set is refused.
        let all_read = if name == Path::new(REGISTERS) {
            let read = read_registers(&document.root(register::ROOT_KEYS));
            let all_read = read.iter().all(Option::is_some);
            self.registers.extend(read.into_iter().flatten());
            all_read
        } else if name == Path::new(PURPOSES) {
            let read = read_purposes(&document.root(purposes::ROOT_KEYS));
            let all_read = read.iter().all(Option::is_some);
            self.purposes.extend(read.into_iter().flatten());
            all_read
        } else {
            let read = read_agreement(&document, file, to_hexadecimal(&Sha256::digest(text)));
            let all_read = read.is_some();
            self.agreements.extend(read);
            all_read
        };
        let found = document.into_found();
        if !all_read || !found.is_empty() {
            self.complete = false;
            self.unread.insert(name.to_owned());
        }
        self.found.extend(found);
    }

    fn check(&mut self, directory: &Path, files: &BTreeMap<PathBuf, String>) {
        let mut found = Vec::new();
        let mut ids: BTreeMap<&str, &Path> = BTreeMap::new();
        for read in &self.agreements {
            let id = read.agreement.id.as_str();
            match ids.get(id) {
                Some(other) => found.push(
                    Diagnostic::at(&read.id, format!("{} has the id `{id}` already", other.display()))
                        .with_hint("give each agreement its own id"),
                ),
                None => {
                    ids.insert(id, &read.agreement.file);
                }
            }
        }
        if !self.unread.contains(Path::new(REGISTERS)) {
            found.extend(self.misused_registers());
        }
        if !self.unread.contains(Path::new(PURPOSES)) {
            found.extend(self.unknown_purposes(directory, files));
        }
        found.extend(overlaps(&self.agreements));
        self.complete &= found.is_empty();
        self.found.extend(found);
    }

    /// What agreements and the registers that they name ask of each other.
    fn misused_registers(&self) -> Vec<Diagnostic> {
        let known: BTreeMap<&str, &Register> =
            self.registers.iter().map(|read| (read.register.name.as_str(), &read.register)).collect();
        let mut found = Vec::new();
        for read in &self.agreements {
            for named in read.registers.iter().chain(&read.lists) {
                let Some(register) = known.get(named.value.as_str()) else {
                    let definition = format!("write `[register.{}]` in `{REGISTERS}`", named.value);
                    found.push(unknown("register", named, known.keys().copied(), definition));
                    continue;
                };
                for (share, place) in read.agreement.shares.iter().zip(&read.tables) {
                    let missing = |what: &str, key: &str| {
                        let message =
                            format!("register `{}` decides by {what}, and the share says no `{key}`", named.value);
                        Diagnostic::at(place, message)
                    };
                    if register.class.is_some() && share.class.is_none() {
                        let hint = "write `class = \"…\"`: what has no class is not released";
                        found.push(missing("classes of data", "class").with_hint(hint));
                    }
                    if register.records.is_some() && share.dated_by.is_none() {
                        let hint = "write `dated_by = \"…\"`, the column with each row's own date";
                        found.push(missing("the dates of records", "dated_by").with_hint(hint));
                    }
                }
            }
            for list in &read.lists {
                if known.get(list.value.as_str()).is_some_and(|register| register.kind != RegisterKind::Dissent) {
                    let message = format!("register `{}` is no list of persons", list.value);
                    let hint = "write `kind = \"dissent\"` there: each of its rows names a person";
                    found.push(Diagnostic::at(&list.place, message).with_hint(hint));
                }
            }
        }
        found
    }

    fn unknown_purposes(&self, directory: &Path, files: &BTreeMap<PathBuf, String>) -> Vec<Diagnostic> {
        if !self.agreements.is_empty() && !files.contains_key(Path::new(PURPOSES)) {
            let missing = Diagnostic::of_file(&directory.join(PURPOSES), "the file is missing, and agreements need it");
            return vec![missing.with_hint("write `[purpose.joint-needs-assessment]`, then `title = \"…\"`")];
        }
        let of_agreements = self
            .agreements
            .iter()
            .map(|read| Located { value: read.agreement.basis.purpose.clone(), place: read.purpose.clone() });
        let of_registers = self.registers.iter().flat_map(|read| read.purposes.clone());
        of_agreements
            .chain(of_registers)
            .filter(|named| !self.purposes.contains_key(&named.value))
            .map(|named| {
                let definition = format!("write `[purpose.{}]` in `{PURPOSES}`", named.value);
                unknown("purpose", &named, self.purposes.keys().map(String::as_str), definition)
            })
            .collect()
    }

    fn set(&mut self, hash: String) -> PolicySet {
        let agreements = std::mem::take(&mut self.agreements);
        let registers = std::mem::take(&mut self.registers);
        let of_registers = registers
            .iter()
            .map(|read| Located { value: read.table.value.agency.clone(), place: read.table.place.clone() });
        let of_agreements = agreements.iter().flat_map(|read| read.agencies.clone());
        PolicySet {
            agencies: of_agreements.chain(of_registers).collect(),
            agreements: agreements.into_iter().map(|read| read.agreement).collect(),
            registers: registers.into_iter().map(|read| (read.register.name.clone(), read.register)).collect(),
            purposes: std::mem::take(&mut self.purposes),
            hash,
        }
    }
}

fn unknown<'k>(
    what: &str,
    named: &Located<String>,
    known: impl IntoIterator<Item = &'k str>,
    definition: String,
) -> Diagnostic {
    let hint = match nearest(&named.value, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None => definition,
    };
    Diagnostic::at(&named.place, format!("there is no {what} {}", quoted(&named.value))).with_hint(hint)
}

/// The texts of a directory's policy files by relative path, and what kept any from being read.
fn read_directory(directory: &Path) -> (BTreeMap<PathBuf, String>, Vec<Diagnostic>) {
    let mut found = Vec::new();
    let mut names = Vec::new();
    if directory.is_dir() {
        names.extend([REGISTERS, PURPOSES].map(PathBuf::from).into_iter().filter(|name| directory.join(name).exists()));
    } else {
        found.push(Diagnostic::of_file(directory, "there is no such directory of policy files"));
    }
    let agreements = directory.join(AGREEMENTS);
    if agreements.exists() {
        match std::fs::read_dir(&agreements).and_then(Iterator::collect::<std::io::Result<Vec<_>>>) {
            Ok(entries) => {
                let file_names = entries.into_iter().map(|entry| PathBuf::from(entry.file_name()));
                names.extend(file_names.filter(|name| is_agreement(name)).map(|name| Path::new(AGREEMENTS).join(name)));
            }
            Err(error) => found.push(unreadable(&agreements, &error)),
        }
    }
    let mut files = BTreeMap::new();
    for name in names {
        let file = directory.join(&name);
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                files.insert(name, text);
            }
            Err(error) => found.push(unreadable(&file, &error)),
        }
    }
    (files, found)
}

/// Editors keep their own copies beside a file under names that start with a dot; test cases end in `.case.toml`.
fn is_agreement(name: &Path) -> bool {
    let name = name.to_string_lossy();
    name.ends_with(".toml") && !name.ends_with(".case.toml") && !name.starts_with('.')
}

fn unreadable(file: &Path, error: &std::io::Error) -> Diagnostic {
    Diagnostic::of_file(file, format!("it cannot be read: {}", error.kind()))
}

fn hash_of(files: &BTreeMap<PathBuf, String>) -> String {
    let mut digest = Sha256::new();
    for (name, text) in files {
        // Lengths keep a name's end and a text's start apart.
        for part in [name.to_string_lossy().as_bytes(), text.as_bytes()] {
            digest.update(part.len().to_string());
            digest.update(":");
            digest.update(part);
        }
    }
    to_hexadecimal(&digest.finalize())
}
